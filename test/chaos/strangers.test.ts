// People without any right who do what costs most, beside good visitors: these hardly notice.
import {once} from 'node:events';
import {expect} from 'vitest';
import {Child} from '../helpers/child.js';
import {projectRoot} from '../helpers/cli.js';
import {atLeast, atMost} from '../helpers/metric.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream} from '../helpers/upstreams.js';
import {tlsVisitor} from '../helpers/visitors.js';
import {sized} from './rig.js';

const rounds = sized(7, 21);
const roundMs = sized(1_500, 5_000);

/** New connections one after the other, each with one echo; what each took, ms, sorted. */
async function visits(scope: Scope, relay: RelayProcess, host: string): Promise<number[]> {
  const times: number[] = [];
  const until = performance.now() + roundMs;
  while (performance.now() < until) {
    const since = performance.now();
    const visitor = await tlsVisitor(scope, {host, port: relay.port}, {caFile: relay.caFile});
    visitor.write('hello');
    await once(visitor, 'data');
    times.push(performance.now() - since);
    visitor.destroy();
  }
  return times.sort((a, b) => a - b);
}

const p99 = (sorted: readonly number[]) => sorted[Math.floor(sorted.length * 0.99)] ?? 0;
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

interface Said {
  opened: number;
}

/**
 * Until the scope ends or it is stopped, from another address. With the lowest priority: on a machine of their own they would
 * not take the relay's processor either.
 */
function strangers(scope: Scope, relay: RelayProcess, kind: string, atOnce: number): Child {
  const words = [`${projectRoot}test/helpers/strangers.js`, kind, String(relay.port), relay.domain];
  return Child.start(scope, 'nice', [
    ...['-n', '19', process.execPath, ...words],
    ...['127.0.0.2', '0', String(atOnce)],
  ]);
}

test.for([
  ['wrong tokens', 'login', 100],
  ['requests in a pipeline', 'pipeline', 100],
  ['5,000 that take their time for a ClientHello', 'slow', 5_000],
] as const)('beside %s good visitors take at most twice as long', async ([what, kind, atOnce], {scope}) => {
  const relay = await startRelayProcess(scope);
  const {ready} = await relay.expose(await echoUpstream(scope));
  const host = ready.tls?.host ?? '';
  await visits(scope, relay, host);
  const ratios: number[] = [];
  let attempts = 0;
  for (let round = 0; round < rounds; round++) {
    const quiet = p99(await visits(scope, relay, host));
    const flood = strangers(scope, relay, kind, atOnce);
    // The first of them has been answered, or turned away.
    await probe(scope, relay);
    ratios.push(p99(await visits(scope, relay, host)) / quiet);
    await flood.stop();
    attempts += (JSON.parse(flood.lines.at(-1) ?? '{}') as Partial<Said>).opened ?? 0;
  }
  const name = `good visitors beside ${what}`;
  expect(atLeast(name, 'attempts a second', attempts / ((rounds * roundMs) / 1000), 50)).toBe(true);
  expect(atMost(name, 'p99 of theirs, times that of quiet rounds', median(ratios), 2)).toBe(true);
});

/** A good visitor of the relay's own page: answered when the flood has not shut the door to others. */
async function probe(scope: Scope, relay: RelayProcess): Promise<void> {
  const visitor = await tlsVisitor(scope, {host: relay.domain, port: relay.port}, {caFile: relay.caFile});
  visitor.write(`GET /healthz HTTP/1.1\r\nHost: ${relay.domain}\r\n\r\n`);
  const [answer] = await once(visitor, 'data');
  expect(String(answer)).toMatch(/^HTTP\/1\.1 200 /);
  visitor.destroy();
}

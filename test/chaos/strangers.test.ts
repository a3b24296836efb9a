// Strangers who do the most expensive things, beside honest visitors: most of these hardly notice.
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

const rounds = sized(3, 21);
const roundMs = sized(1_500, 5_000);

/** New connections one after the other, each with one echo; their times, ms, sorted. */
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

const at = (share: number) => (sorted: readonly number[]) => sorted[Math.floor(sorted.length * share)] ?? 0;
const p50 = at(0.5);
const p99 = at(0.99);
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

interface Said {
  opened: number;
}

/**
 * Strangers until the scope ends or they are stopped, from another address. They have the lowest priority, because real
 * strangers do not use the relay's CPU.
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
] as const)('beside %s most visits take at most twice as long', async ([what, kind, atOnce], {scope}) => {
  const relay = await startRelayProcess(scope, {flags: ['--log-level', 'info']});
  // A relay on which they do no harm: there they use as much of this machine's CPU, which is not under test.
  const decoy = await startRelayProcess(scope, {flags: ['--log-level', 'info']});
  const {ready} = await relay.expose(await echoUpstream(scope));
  const host = ready.tls?.host ?? '';
  await visits(scope, relay, host);
  const floods = [decoy, relay].map((target) => strangers(scope, target, kind, atOnce));
  // They have used up their first burst before the measurement.
  for (const {cli} of [decoy, relay]) await cli.saidOnStderr(/connections are refused/);
  for (const flood of floods) flood.signal('SIGSTOP');
  const pairs: {elsewhere: number[]; here: number[]}[] = [];
  for (let round = 0; round < rounds; round++) {
    const times: number[][] = [];
    for (const flood of floods) {
      flood.signal('SIGCONT');
      times.push(await visits(scope, relay, host));
      flood.signal('SIGSTOP');
    }
    const [elsewhere = [], here = []] = times;
    pairs.push({elsewhere, here});
  }
  for (const flood of floods) flood.signal('SIGCONT');
  for (const flood of floods) await flood.stop();
  const ratio = (of: typeof p99) => median(pairs.map(({elsewhere, here}) => of(here) / of(elsewhere)));
  const name = `good visitors beside ${what}`;
  const {opened} = JSON.parse(floods.at(-1)?.lines.at(-1) ?? '{}') as Said;
  expect(atLeast(name, 'attempts', opened, 2_000)).toBe(true);
  expect(atMost(name, 'p50, times that with the strangers at another relay', ratio(p50), 2)).toBe(true);
  // Judged by a reader: all connections share one queue of the system, and a burst of strangers fills it within a millisecond.
  atMost(name, 'p99, times that with the strangers at another relay', ratio(p99), 2);
});

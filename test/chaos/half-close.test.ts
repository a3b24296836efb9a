// Every way in which a connection can end, a thousand times each: all bytes arrive, an end stays an end, a reset stays a
// reset.
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {createConnection, type Socket} from 'node:net';
import {connect} from 'node:tls';
import {expect} from 'vitest';
import {atMost} from '../helpers/metric.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {type Recording, record} from '../helpers/upstreams.js';
import {type EndsUpstream, endsUpstream, firstLine, payload, sha256, type Way, ways} from './ends.js';
import {type Rig, sized, startRig} from './rig.js';

const times = sized(50, 1_000);
const atOnce = 25;

type Kind = 'TLS' | 'TCP';
type Ready = Awaited<ReturnType<Rig['expose']>>['ready'];

interface Visitor extends Recording {
  reset(): void;
}

async function visitor(scope: Scope, rig: Rig, ready: Ready, kind: Kind): Promise<Visitor> {
  const port = (kind === 'TCP' ? ready.tcp : ready.tls)?.port ?? 0;
  const raw = createConnection({host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true});
  scope.onEnd(() => void raw.destroy());
  await once(raw, 'connect');
  const reset = () => void setImmediate(() => raw.resetAndDestroy());
  if (kind === 'TCP') return {...record(raw), reset};
  raw.on('error', () => {});
  const halfOpen: object = {allowHalfOpen: true};
  const options = {socket: raw, servername: ready.tls?.host ?? '', ca: readFileSync(rig.caFile)};
  const socket: Socket = connect({...halfOpen, ...options});
  await once(socket, 'secureConnect');
  return {...record(socket), reset};
}

interface Visit {
  id: number;
  way: Way;
  /** Called when both sides have sent, before the end. */
  step?: () => Promise<void>;
  /** How long an upstream's end took to arrive, ms. */
  ends?: number[];
}

/** One visit to its end. Returns what was wrong. */
async function visit(
  me: Visitor,
  upstream: EndsUpstream,
  {id, way, step, ends = []}: Visit,
): Promise<string | undefined> {
  const {socket} = me;
  const up = payload(id, 'up');
  const down = payload(id, 'down');
  socket.write(firstLine(id, way));
  socket.write(up);
  if (way === 'visitor') {
    await step?.();
    socket.end();
    await me.ended;
  } else {
    await me.received(down.length);
    await step?.();
    if (way === 'both') socket.end();
    if (way === 'visitor-reset') me.reset();
    else upstream.act(id, way);
    const since = performance.now();
    if (way === 'upstream' || way === 'both') await me.ended;
    if (way === 'upstream') {
      socket.end();
      ends.push(performance.now() - since);
    }
  }
  const seen = await upstream.seen(id);
  const got = me.data();
  if (!got.equals(down)) return `${got.length} of ${down.length} bytes came down`;
  if (way !== 'visitor-reset' && way !== 'upstream-reset') {
    if (seen.sha256 !== sha256(up)) return 'other bytes went up';
    return seen.code === undefined ? undefined : `the upstream saw ${seen.code}`;
  }
  const told = way === 'visitor-reset' ? seen.code : await me.closed;
  return told === 'ECONNRESET' ? undefined : `the reset arrived as ${told ?? 'an end'}`;
}

test.for(['TLS', 'TCP'] as const)('all ends over %s', async (kind, {scope}) => {
  const rig = await startRig(scope);
  const upstream = await endsUpstream(scope);
  const {ready} = await rig.expose(upstream.port, {flags: ['--tcp']});
  let id = 0;
  const ends: number[] = [];
  for (const way of ways) {
    const wrong: string[] = [];
    for (let done = 0; done < times; done += atOnce) {
      const visits = Array.from({length: atOnce}, async () => {
        id += 1;
        const mine = id;
        const what = await visit(await visitor(scope, rig, ready, kind), upstream, {id: mine, way, ends});
        if (what !== undefined) wrong.push(what);
      });
      await Promise.all(visits);
    }
    expect.soft(wrong.slice(0, 5)).toEqual([]);
    expect.soft(atMost(`${kind}, ${way}, ${times} times`, 'wrong ends', wrong.length, 0)).toBe(true);
  }
  // Printed, and judged only on an idle machine: twenty-five visits at once wait for one another.
  ends.sort((a, b) => a - b);
  const median = ends[ends.length >> 1] ?? Number.POSITIVE_INFINITY;
  expect.soft(atMost(`${kind}, upstream`, 'ms until its end arrives, median', median, 100)).toBe(true);
});

test.for(['TLS', 'TCP'] as const)('all ends over %s while the link is down', async (kind, {scope}) => {
  const rig = await startRig(scope, {quickRetry: true});
  const upstream = await endsUpstream(scope);
  const {ready} = await rig.expose(upstream.port, {flags: ['--tcp']});
  let id = 0;
  for (const way of ways) {
    const wrong: string[] = [];
    const each = sized(25, 100);
    for (let done = 0; done < times; done += each) {
      const spoken: Promise<void>[] = [];
      const down = Promise.withResolvers<void>();
      const visits = Array.from({length: each}, async () => {
        id += 1;
        const mine = id;
        const step = Promise.withResolvers<void>();
        spoken.push(step.promise);
        const pause = () => {
          step.resolve();
          return down.promise;
        };
        const me = await visitor(scope, rig, ready, kind);
        const what = await visit(me, upstream, {id: mine, way, step: pause});
        if (what !== undefined) wrong.push(what);
      });
      await Promise.all(spoken);
      await rig.proxy.refuse();
      rig.proxy.reset();
      down.resolve();
      // The visitors do the rest while there is no link.
      await new Promise((resolve) => setTimeout(resolve, 50));
      await rig.proxy.accept();
      await Promise.all(visits);
    }
    expect.soft(wrong.slice(0, 5)).toEqual([]);
    const name = `${kind}, ${way}, ${times} times while the link is down`;
    expect.soft(atMost(name, 'wrong ends', wrong.length, 0)).toBe(true);
  }
});

// All loads, in the order in which they are measured.

import {setTimeout as sleep} from 'node:timers/promises';
import {Scope} from '../../test/helpers/scope.js';
import {cpuSecondsOf, memoryMbOf} from '../machine/proc.js';
import {start, within} from '../machine/programs.js';
import type {Tools} from '../machine/tools.js';
import type {Route, RunningPeer} from '../peers/peer.js';
import {pieceBytes, type Upstream} from '../upstream.js';
import {curlWords, type Transfer, transfer, urlOf} from './curl.js';
import {wrk} from './wrk.js';

export interface LoadContext {
  tools: Tools;
  upstream: Upstream;
  /** The length of loads without a given number of bytes. */
  seconds: number;
  signal: AbortSignal;
}

/** Figures by their keys in figures.ts; `errors` counts failed requests. */
export type Measured = Record<string, number>;

export interface Load {
  name: string;
  /** Undefined when the peer has no such route. */
  run(scope: Scope, peer: RunningPeer, context: LoadContext): Promise<Measured> | undefined;
}

const bulkTimeoutMs = 120_000;

export const loads: readonly Load[] = [
  {name: 'bulk', run: (scope, peer, context) => bulk(scope, peer.tcp, context)},
  {name: 'bulk4', run: (scope, peer, context) => bulk4(scope, peer.tcp, context)},
  {name: 'upload', run: (scope, peer, context) => upload(scope, peer.upload, context)},
  {name: 'bulk-tls', run: (scope, peer, context) => peer.https && bulkTls(scope, peer.https, context)},
  {name: 'requests1', run: (scope, peer, context) => requests(scope, peer.tcp, context, 1, '1')},
  {name: 'requests50', run: (scope, peer, context) => requests(scope, peer.tcp, context, 50, '50')},
  {
    name: 'requests50-tls',
    run: (scope, peer, context) => peer.https && requests(scope, peer.https, context, 50, '50tls'),
  },
  {name: 'connections', run: (scope, peer, context) => connections(scope, peer.tcp, context, 'conns')},
  {
    name: 'connections-tls',
    run: (scope, peer, context) => peer.https && connections(scope, peer.https, context, 'connsTls'),
  },
  {name: 'beside', run: (scope, peer, context) => beside(scope, peer.tcp, context)},
  {name: 'start', run: (_scope, peer, context) => peer.timeAgent && startUp(peer.timeAgent, context)},
];

async function bulk(scope: Scope, route: Route, context: LoadContext): Promise<Measured> {
  const cpu = cpuMeter(route);
  const done = await download(scope, route, context, context.upstream.bulkBytes);
  return {
    bulk: rate([done]),
    ...cpu(done.bytes),
    ...(route.relayPid !== undefined && {bulkPeakRelay: memoryMbOf(route.relayPid, 'VmHWM')}),
    ...(route.agentPid !== undefined && {bulkPeakAgent: memoryMbOf(route.agentPid, 'VmHWM')}),
  };
}

async function bulk4(scope: Scope, route: Route, context: LoadContext): Promise<Measured> {
  const bytes = Math.floor(context.upstream.bulkBytes / 4);
  return {
    bulk4: rate(await Promise.all([1, 2, 3, 4].map(() => download(scope, route, context, bytes)))),
  };
}

async function bulkTls(scope: Scope, route: Route, context: LoadContext): Promise<Measured> {
  return {bulkTls: rate([await download(scope, route, context, context.upstream.bulkBytes)])};
}

function download(
  scope: Scope,
  route: Route,
  {tools, signal}: LoadContext,
  bytes: number,
): Promise<Transfer> {
  const words = ['--output', '/dev/null', '--range', `0-${bytes - 1}`, urlOf(route, '/bulk')];
  return transfer(scope, tools, [...curlWords(route), ...words], {timeoutMs: bulkTimeoutMs, signal});
}

async function upload(scope: Scope, route: Route, {tools, upstream, signal}: LoadContext): Promise<Measured> {
  // Without `Expect:` curl would wait a second for permission to send.
  const words = ['--header', 'Expect:', '--upload-file', upstream.bulkFile, urlOf(route, '/upload')];
  return {
    upload: rate([
      await transfer(scope, tools, [...curlWords(route), ...words], {timeoutMs: bulkTimeoutMs, signal}),
    ]),
  };
}

async function requests(
  scope: Scope,
  route: Route,
  {tools, seconds, signal}: LoadContext,
  count: number,
  key: string,
): Promise<Measured> {
  const {perSecond, p50Ms, p99Ms, errors} = await wrk(scope, tools, route, {
    connections: count,
    seconds,
    signal,
  });
  return {[`rps${key}`]: perSecond, [`p50x${key}`]: p50Ms, [`p99x${key}`]: p99Ms, errors};
}

async function connections(
  scope: Scope,
  route: Route,
  {tools, seconds, signal}: LoadContext,
  key: string,
): Promise<Measured> {
  const {perSecond, errors} = await wrk(scope, tools, route, {connections: 20, seconds, close: true, signal});
  return {[key]: perSecond, errors};
}

/** One connection with small requests, while two endless downloads run. */
async function beside(scope: Scope, route: Route, context: LoadContext): Promise<Measured> {
  const {tools, seconds, signal} = context;
  // More than any peer moves in that time: the downloads are stopped in the middle.
  const urls = Array.from({length: 2000}, () => ['--output', '/dev/null', urlOf(route, '/piece')]).flat();
  // On stderr, which curl does not buffer.
  const words = [...curlWords(route), '--write-out', '%{stderr}done\\n', ...urls];
  const downloads = [1, 2].map(() =>
    start(scope, tools.path('curl'), words, {
      name: 'curl, without an end',
      stopSignal: 'SIGKILL',
    }),
  );
  await within(
    30_000,
    'end of a first piece',
    Promise.all(downloads.map((child) => child.saidOnStderr(/done/))),
  );
  const pieces = () => downloads.flatMap(({stderr}) => stderr.match(/done/g) ?? []).length;
  const before = pieces();
  const began = performance.now();
  const {p50Ms, p99Ms, errors} = await wrk(scope, tools, route, {connections: 1, seconds, signal});
  const elapsed = (performance.now() - began) / 1000;
  const after = pieces();
  for (const child of downloads) {
    if (child.exit !== undefined) throw new Error(`a download ended early: ${child.stderr.trim()}`);
  }
  return {
    besideP50: p50Ms,
    besideP99: p99Ms,
    besideBulk: ((after - before) * pieceBytes) / 1e6 / elapsed,
    errors,
  };
}

async function startUp(
  timeAgent: (scope: Scope) => Promise<number>,
  {signal}: LoadContext,
): Promise<Measured> {
  const times: number[] = [];
  for (let n = 0; n < 5; n++) {
    signal.throwIfAborted();
    await using scope = new Scope();
    times.push(await timeAgent(scope));
    await sleep(50);
  }
  return {start: times.sort((a, b) => a - b)[2] as number};
}

/** MB/s of transfers that began at the same time. */
function rate(transfers: readonly Transfer[]): number {
  const bytes = transfers.reduce((sum, each) => sum + each.bytes, 0);
  return bytes / 1e6 / Math.max(...transfers.map(({seconds}) => seconds));
}

/** CPU seconds per GiB of both ends, from now until it is called. */
function cpuMeter({relayPid, agentPid}: Route): (bytes: number) => Measured {
  const now = () => [relayPid, agentPid].map((pid) => (pid === undefined ? 0 : cpuSecondsOf(pid)));
  const [relayBefore = 0, agentBefore = 0] = now();
  return (bytes) => {
    if (relayPid === undefined) return {};
    const [relay = 0, agent = 0] = now();
    const gib = bytes / 2 ** 30;
    return {cpuRelay: (relay - relayBefore) / gib, cpuAgent: (agent - agentBefore) / gib};
  };
}

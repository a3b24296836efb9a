// All loads, in the order in which they are measured.

import {setTimeout as sleep} from 'node:timers/promises';
import {Scope} from '../../test/helpers/scope.js';
import {memoryMbOf} from '../machine/proc.js';
import {start, within} from '../machine/programs.js';
import type {Tools} from '../machine/tools.js';
import type {Route, RouteName, RunningPeer} from '../peers/peer.js';
import {pieceBytes, type Upstream} from '../upstream.js';
import {calls, echo, resumed} from './clients.js';
import {BYTES_A_GIB, cpuMeter, REQUESTS_A_UNIT} from './cpu.js';
import {curlWords, type Transfer, transfer, urlOf} from './curl.js';
import {type WrkOptions, wrk} from './wrk.js';

export interface LoadContext {
  tools: Tools;
  upstream: Upstream;
  /** The length of loads without a given number of bytes. */
  seconds: number;
  /** The length of the same load before it is measured; 0 for none. The first seconds of a process have a load of their own. */
  warmUpSeconds?: number;
  signal: AbortSignal;
}

/** Figures by their keys in figures.ts; `errors` counts failed requests. */
export type Measured = Record<string, number>;

export interface Load {
  name: string;
  /** Undefined when the peer has no such route. */
  run(scope: Scope, peer: RunningPeer, context: LoadContext): Promise<Measured> | undefined;
  /** The route that it uses, if one. */
  route?: RouteName;
}

const bulkTimeoutMs = 120_000;

export const loads: readonly Load[] = [
  through('first', 'tcp', firstSeconds),
  through('bulk', 'tcp', bulk),
  through('bulk4', 'tcp', bulk4),
  through('upload', 'upload', upload('upload')),
  through('bulk-tls', 'https', bulkTls),
  through('upload-tls', 'uploadTls', upload('uploadTls')),
  through('requests1', 'tcp', requests(1, '1')),
  through('requests50', 'tcp', requests(50, '50')),
  through('requests500', 'tcp', requests(500, '500')),
  through('requests50-tls', 'https', requests(50, '50tls')),
  through('connections', 'tcp', connections('conns')),
  through('connections-tls', 'https', connections('connsTls')),
  through('connections-resumed', 'https', resumed),
  through('echo', 'echo', echo),
  through('grpc', 'grpc', calls),
  through('beside', 'tcp', beside),
  {name: 'start', run: (_scope, peer, context) => peer.timeAgent && startUp(peer.timeAgent, context)},
];

type LoadOfRoute = (scope: Scope, route: Route, context: LoadContext) => Promise<Measured>;

/** A load through one of a peer's routes. */
function through(name: string, route: RouteName, load: LoadOfRoute): Load {
  return {
    name,
    route,
    run: (scope, peer, context) => {
      const there = peer[route];
      return there && load(scope, there, context);
    },
  };
}

async function bulk(scope: Scope, route: Route, context: LoadContext): Promise<Measured> {
  const cpu = cpuMeter(route, 'bulk');
  const done = await download(scope, route, context, context.upstream.bulkBytes);
  return {
    bulk: rate([done]),
    ...cpu(done.bytes / BYTES_A_GIB),
    ...(route.relayPid !== undefined && {bulkPeakRelay: memoryMbOf(route.relayPid, 'VmHWM')}),
    ...(route.agentPid !== undefined && {bulkPeakAgent: memoryMbOf(route.agentPid, 'VmHWM')}),
  };
}

async function bulk4(scope: Scope, route: Route, context: LoadContext): Promise<Measured> {
  const bytes = Math.floor(context.upstream.bulkBytes / 4);
  const cpu = cpuMeter(route, 'bulk4');
  const done = await Promise.all([1, 2, 3, 4].map(() => download(scope, route, context, bytes)));
  return {bulk4: rate(done), ...cpu((4 * bytes) / BYTES_A_GIB)};
}

async function bulkTls(scope: Scope, route: Route, context: LoadContext): Promise<Measured> {
  const cpu = cpuMeter(route, 'bulkTls');
  const done = await download(scope, route, context, context.upstream.bulkBytes);
  return {bulkTls: rate([done]), ...cpu(done.bytes / BYTES_A_GIB)};
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

function upload(key: string): LoadOfRoute {
  return async (scope, route, {tools, upstream, signal}) => {
    // Without `Expect:` curl would wait a second for permission to send.
    const words = ['--header', 'Expect:', '--upload-file', upstream.bulkFile, urlOf(route, '/upload')];
    const cpu = cpuMeter(route, key);
    const options = {timeoutMs: bulkTimeoutMs, signal};
    const done = await transfer(scope, tools, [...curlWords(route), ...words], options);
    return {[key]: rate([done]), ...cpu(done.bytes / BYTES_A_GIB)};
  };
}

/** What the first visitor of new processes sees: nothing is compiled yet. */
async function firstSeconds(scope: Scope, route: Route, context: LoadContext): Promise<Measured> {
  const {tools, seconds, signal} = context;
  const {p50Ms, p99Ms, errors} = await wrk(scope, tools, route, {connections: 1, seconds, signal});
  return {p50First: p50Ms, p99First: p99Ms, errors};
}

async function warmUp(
  scope: Scope,
  route: Route,
  {tools, warmUpSeconds = 0}: LoadContext,
  options: Omit<WrkOptions, 'seconds'>,
): Promise<void> {
  if (warmUpSeconds > 0) await wrk(scope, tools, route, {...options, seconds: warmUpSeconds});
}

function requests(count: number, key: string): LoadOfRoute {
  return async (scope, route, context) => {
    const {tools, seconds, signal} = context;
    const options = {connections: count, seconds, signal};
    await warmUp(scope, route, context, options);
    const cpu = cpuMeter(route, `rps${key}`);
    const {perSecond, requests, p50Ms, p99Ms, errors} = await wrk(scope, tools, route, options);
    return {
      [`rps${key}`]: perSecond,
      [`p50x${key}`]: p50Ms,
      [`p99x${key}`]: p99Ms,
      ...cpu(requests / REQUESTS_A_UNIT),
      errors,
    };
  };
}

function connections(key: string): LoadOfRoute {
  return async (scope, route, context) => {
    const {tools, seconds, signal} = context;
    const options = {connections: 20, seconds, close: true, signal};
    await warmUp(scope, route, context, options);
    const cpu = cpuMeter(route, key);
    const {perSecond, requests, errors} = await wrk(scope, tools, route, options);
    return {[key]: perSecond, ...cpu(requests / REQUESTS_A_UNIT), errors};
  };
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

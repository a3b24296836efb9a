// One cell of the fault matrix: one peer, one fault, in separate namespaces.

import {setTimeout as sleep} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import {netPath} from '../../test/helpers/net-path.js';
import {Scope} from '../../test/helpers/scope.js';
import {start, within} from '../machine/programs.js';
import type {Tools} from '../machine/tools.js';
import type {Fault} from './faults.js';
import {type FaultPeer, RELAY_NAME} from './peers/peer.js';
import {type Snapshot, Visitors} from './visitors.js';

const BYTES_PER_SECOND = 200_000;
const POLL_MS = 200;

/** The network stays untouched for so long before the fault, and after everything has recovered. */
const QUIET_MS = 2_000;

/** How long to wait for the download after the fault. TCP backs off: after 90 s of silence its next attempt may be a minute away. */
const PATIENCE_MS = {full: 130_000, short: 40_000};

/** How long the other connections may take once the download moves again. */
const OTHERS_MS = 20_000;

export type Fate = 'survived' | 'reset' | 'truncated' | 'hangs';

export interface CellResult {
  peer: string;
  version: string;
  fault: string;
  download: Fate;
  echo: Fate;
  quiet: Fate;
  /** Seconds from the start of the fault to the end of the download, if it did not survive. */
  endedAfterS?: number;
  longestStallS: number;
  /** The share of the time since the start of the fault that the download spent in silences of more than 150 ms. */
  deadShare: number;
  wrongBytes: number;
  /** Whether, before the fault, a visitor that had ended its own direction got the whole answer. */
  halfClose: boolean;
  /** Seconds from the end of the fault until a new visitor was served. */
  newVisitorS?: number;
  seconds: number;
}

export interface CellOptions {
  tools: Tools;
  peer: FaultPeer;
  fault: Fault;
  short: boolean;
  signal: AbortSignal;
}

export async function runCell({tools, peer, fault, short, signal}: CellOptions): Promise<CellResult> {
  await using scope = new Scope();
  const path = await netPath(scope, [RELAY_NAME]);
  const program = fileURLToPath(new URL('upstream.js', import.meta.url));
  const upstream = start(scope, process.execPath, [program], {namespace: path.far.namespace});
  const upstreamPort = Number(await within(10_000, 'port of the upstream', upstream.line()));
  const publicSide = await peer.start({scope, tools, path, upstreamPort});
  const seed = Math.floor(Math.random() * 2 ** 31);
  const visitors = await Visitors.come(scope, path.near, publicSide, {seed, rate: BYTES_PER_SECOND});
  await sleep(QUIET_MS, undefined, {signal});

  const report = () => visitors.ask('report');
  const patience = short ? PATIENCE_MS.short : PATIENCE_MS.full;
  const settled = async (done: (now: Snapshot) => boolean, timeoutMs: number) => {
    const deadline = performance.now() + timeoutMs;
    while (performance.now() < deadline) {
      if (done(await report())) return true;
      await sleep(POLL_MS, undefined, {signal});
    }
    return false;
  };
  const downloadGoesOn = async () => {
    const {bytes} = (await report()).download;
    await settled(({download}) => download.bytes > bytes || download.closed !== undefined, patience);
  };

  const began = await visitors.ask('begin');
  await fault.run({
    path,
    over: peer.over,
    short,
    signal,
    goesOn: downloadGoesOn,
    isOver: async () => (await report()).download.closed !== undefined,
  });
  const asked = await visitors.ask('ask');
  await downloadGoesOn();
  const others = (now: Snapshot) =>
    [now.echo, now.quiet].every(({closed, back}, i) => {
      const before = [asked.echo, asked.quiet][i]?.said ?? 0;
      return closed !== undefined || back >= before;
    });
  await settled((now) => others(now) && now.fresh.servedMs !== undefined, OTHERS_MS);
  await sleep(QUIET_MS, undefined, {signal});
  const end = await report();

  const fate = (moves: boolean, {closed}: {closed?: string}): Fate => {
    if (closed !== undefined) return closed === 'FIN' ? 'truncated' : 'reset';
    return moves ? 'survived' : 'hangs';
  };
  const {download, echo, quiet, fresh} = end;
  const seconds = ((download.closedAt ?? end.now) - began.now) / 1000;
  return {
    peer: peer.name,
    version: peer.version(tools) ?? 'unknown',
    fault: fault.name,
    download: fate(download.bytes > asked.download.bytes, download),
    echo: fate(echo.back >= asked.echo.said, echo),
    quiet: fate(quiet.back >= asked.quiet.said, quiet),
    ...(download.closed !== undefined && {endedAfterS: round(seconds)}),
    longestStallS: round(download.longestStallMs / 1000),
    deadShare: round(download.stalledMs / 1000 / seconds, 4),
    wrongBytes: download.wrong + echo.wrong + quiet.wrong,
    halfClose: end.halfClosedBytes === 100_000,
    ...(fresh.servedMs !== undefined && {newVisitorS: round(fresh.servedMs / 1000)}),
    seconds: round((end.now - began.now) / 1000),
  };
}

function round(value: number, digits = 2): number {
  return Number(value.toFixed(digits));
}

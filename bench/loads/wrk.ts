// Many small requests, by wrk.

import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Scope} from '../../test/helpers/scope.js';
import {run} from '../machine/programs.js';
import type {Tools} from '../machine/tools.js';
import {loopback, type Route} from '../peers/peer.js';
import {urlOf} from './curl.js';

export interface WrkOptions {
  connections: number;
  seconds: number;
  /** A new connection for each request. */
  close?: boolean;
  /** Where it runs, if not here. */
  namespace?: string;
  signal: AbortSignal;
}

export interface WrkResult {
  perSecond: number;
  requests: number;
  p50Ms: number;
  p99Ms: number;
  /** Failures in wrk's count: sockets, time-outs, statuses. */
  errors: number;
}

export async function wrk(
  scope: Scope,
  tools: Tools,
  route: Route,
  {connections, seconds, close = false, namespace, signal}: WrkOptions,
): Promise<WrkResult> {
  const script = join(await scope.tempDir('bench-wrk'), 'loopback.lua');
  // The system's resolver may not know the names of tunnels.
  writeFileSync(
    script,
    `function wrk.resolve(host, service) wrk.addrs = wrk.lookup("${route.address ?? loopback}", service) end\n`,
  );
  const said = await run(
    scope,
    tools.path('wrk'),
    [
      ...['-t', String(Math.min(2, connections)), '-c', String(connections), '-d', `${seconds}s`],
      ...['--latency', '--timeout', '10s', '-s', script],
      ...(close ? ['-H', 'Connection: close'] : []),
      urlOf(route, '/small'),
    ],
    {
      name: 'wrk',
      timeoutMs: (seconds + 20) * 1000,
      signal,
      ...(namespace !== undefined && {namespace}),
    },
  );
  const sockets = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(said);
  const statuses = /Non-2xx or 3xx responses: (\d+)/.exec(said);
  return {
    requests: Number(field(said, /(\d+) requests in/)),
    perSecond: Number(field(said, /Requests\/sec:\s+([\d.]+)/)),
    p50Ms: milliseconds(field(said, /^\s+50%\s+(\S+)\s*$/m)),
    p99Ms: milliseconds(field(said, /^\s+99%\s+(\S+)\s*$/m)),
    errors: [...(sockets?.slice(1) ?? []), statuses?.[1] ?? 0].reduce<number>((sum, n) => sum + Number(n), 0),
  };
}

function field(said: string, pattern: RegExp): string {
  const found = pattern.exec(said)?.[1];
  if (found === undefined) throw new Error(`wrk said: ${said}`);
  return found;
}

const units = new Map([
  ['us', 0.001],
  ['ms', 1],
  ['s', 1000],
]);

function milliseconds(text: string): number {
  const [, amount, unit = ''] = /^([\d.]+)(us|ms|s)$/.exec(text) ?? [];
  const factor = units.get(unit);
  if (amount === undefined || factor === undefined) throw new Error(`wrk said ${text} for a time`);
  return Number(amount) * factor;
}

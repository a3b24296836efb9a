// Loads with clients of our own, each a program: WebSocket messages, gRPC calls, TLS connections that resume a session.

import {fileURLToPath} from 'node:url';
import type {Scope} from '../../test/helpers/scope.js';
import {run} from '../machine/programs.js';
import {loopback, type Route} from '../peers/peer.js';
import {cpuMeter, REQUESTS_A_UNIT} from './cpu.js';
import type {LoadContext, Measured} from './loads.js';

/** At the same time: connections of the echo and of TLS, calls of gRPC. */
const AT_ONCE = 20;

export async function echo(scope: Scope, route: Route, context: LoadContext): Promise<Measured> {
  const {perSecond, p50Ms, errors, cpu} = await measured(scope, route, context, 'echo', 'echo.js', [
    addressOf(route),
  ]);
  return {echo: perSecond, p50echo: p50Ms, errors, ...cpu};
}

export async function calls(scope: Scope, route: Route, context: LoadContext): Promise<Measured> {
  const words = [route.host, addressOf(route)];
  const {perSecond, p50Ms, errors, cpu} = await measured(scope, route, context, 'grpc', 'grpc.js', words);
  return {grpc: perSecond, p50grpc: p50Ms, errors, ...cpu};
}

export async function resumed(scope: Scope, route: Route, context: LoadContext): Promise<Measured> {
  const words = [route.host, addressOf(route)];
  const key = 'connsResumed';
  const {perSecond, resumedPercent, errors, cpu} = await measured(
    scope,
    route,
    context,
    key,
    'resumed.js',
    words,
  );
  return {[key]: perSecond, resumedPercent, errors, ...cpu};
}

interface Said {
  done: number;
  perSecond: number;
  p50Ms: number;
  errors: number;
  resumedPercent: number;
}

async function measured(
  scope: Scope,
  route: Route,
  {seconds, signal}: LoadContext,
  key: string,
  file: string,
  words: readonly string[],
): Promise<Said & {cpu: Measured}> {
  const program = fileURLToPath(new URL(`clients/${file}`, import.meta.url));
  const cpu = cpuMeter(route, key);
  const all = [program, ...words, ...[route.port, AT_ONCE, seconds].map(String)];
  const timeoutMs = (seconds + 20) * 1000;
  const said = JSON.parse(await run(scope, process.execPath, all, {name: file, timeoutMs, signal})) as Said;
  if (said.done === 0) throw new Error(`${file}: nothing succeeded, ${said.errors} failed`);
  return {...said, cpu: cpu(said.done / REQUESTS_A_UNIT)};
}

function addressOf(route: Route): string {
  return route.address ?? loopback;
}

// When a sandbox is ready: a port accepts connections, or a command inside succeeds. It is tried again and again.

import type {Duplex} from 'node:stream';
import {leaveInOrder} from '../agent/upstreams/port.js';
import {type Clock, pause} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import {checkPort} from '../protocol/targets.js';
import type {ExecRequest, SandboxProcess} from './backend.js';

const INTERVAL_MS = 100;
/** The limit for one try, ms. */
const TRY_MS = 5_000;

/** Plain data: it may be sent to another process as JSON. */
export type Probe =
  | {readonly kind: 'tcp'; readonly port: number; readonly intervalMs: number}
  | {readonly kind: 'exec'; readonly command: readonly string[]; readonly intervalMs: number};

export interface ProbeOptions {
  /** The pause after a try that failed, ms. Default 100. */
  intervalMs?: number;
}

export const Probe = {
  /**
   * Ready when the port accepts a connection inside the sandbox. The connection is closed at once.
   *
   * @throws TunlError PORT_INVALID, PORT_RANGE, OPTION_INVALID
   */
  tcp(port: number, {intervalMs = INTERVAL_MS}: ProbeOptions = {}): Probe {
    return {kind: 'tcp', port: checkPort(port), intervalMs: checkInterval(intervalMs)};
  },

  /**
   * Ready when the command ends with the exit code 0. Each run may take 5 s.
   *
   * @throws TunlError OPTION_INVALID
   */
  exec(command: readonly string[], {intervalMs = INTERVAL_MS}: ProbeOptions = {}): Probe {
    if (!Array.isArray(command) || command.length === 0 || !command.every((word) => typeof word === 'string'))
      throw new TunlError('OPTION_INVALID', {reason: 'The command of a probe is a list of texts.'});
    return {kind: 'exec', command: [...command], intervalMs: checkInterval(intervalMs)};
  },
} as const;

function checkInterval(ms: number): number {
  if (Number.isFinite(ms) && ms >= 10 && ms <= 3_600_000) return ms;
  throw new TunlError('OPTION_INVALID', {reason: `intervalMs is from 10 to 3600000, not ${ms}.`});
}

/** A probe that came as JSON. @throws TunlError */
export function checkProbe(value: unknown): Probe {
  const {kind, port, command, intervalMs} = (value ?? {}) as Record<string, unknown>;
  if (kind === 'tcp') return Probe.tcp(port as number, {intervalMs: intervalMs as number});
  if (kind === 'exec') return Probe.exec(command as string[], {intervalMs: intervalMs as number});
  throw new TunlError('OPTION_INVALID', {
    reason: 'There is no such probe.',
    next: 'Make one with Probe.tcp(port) or Probe.exec(command).',
  });
}

export interface Probed {
  dial(port: number, signal?: AbortSignal): Promise<Duplex>;
  exec(request: ExecRequest): Promise<SandboxProcess>;
}

/** Resolves to true when the probe succeeds, to false when `signal` aborts before. Never rejects. */
export async function untilReady(
  probe: Probe,
  sandbox: Probed,
  {clock, signal}: {clock: Clock; signal: AbortSignal},
): Promise<boolean> {
  const isOver = () => signal.aborted;
  while (!isOver()) {
    const succeeds = await tryOnce(probe, sandbox, signal).catch(() => false);
    if (isOver()) break;
    if (succeeds) return true;
    await pause(clock, probe.intervalMs, signal);
  }
  return false;
}

async function tryOnce(probe: Probe, sandbox: Probed, signal: AbortSignal): Promise<boolean> {
  if (probe.kind === 'tcp') {
    const timeout = AbortSignal.any([signal, AbortSignal.timeout(TRY_MS)]);
    leaveInOrder(await sandbox.dial(probe.port, timeout));
    return true;
  }
  const run = await sandbox.exec({command: probe.command, timeoutMs: TRY_MS});
  run.stdin.on('error', () => {}).end();
  // Output that nobody reads would stop the command.
  for (const output of [run.stdout, run.stderr]) output.on('error', () => {}).resume();
  const {code} = await run.exit;
  return code === 0;
}

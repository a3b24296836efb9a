// One start of a session: makes the sandbox, waits until its program answers, and watches it until it ends.

import type {Duplex} from 'node:stream';
import {type Clock, pause} from '../core/clock.js';
import {type ErrorCode, toTunlError} from '../core/errors.js';
import type {SandboxControl, SandboxEnd} from '../sandbox/control.js';
import {askInside} from './ask-inside.js';
import type {SessionEnd} from './session.js';
import type {Program} from './template.js';

/** Between two questions whether the program answers, ms. */
const ASK_EVERY_MS = 100;

export interface RunOptions {
  readonly sandbox: SandboxControl;
  readonly program: Program;
  readonly port: number;
  readonly readyTimeoutMs: number;
  readonly clock: Clock;
  /** The program's own token. */
  readonly secret: string;
  /** The last lines of its output, without the token. */
  readonly tail: () => Promise<readonly string[]>;
}

export type RunResult = {readonly ready: true} | {readonly ready: false; readonly end: SessionEnd};

/** Resolves when the program answers through its sandbox, or cannot any more. */
export async function untilReady(options: RunOptions, signal: AbortSignal): Promise<RunResult> {
  const {sandbox, readyTimeoutMs, clock} = options;
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const timer = clock.after(readyTimeoutMs, () => over.abort());
  const ended = sandbox.ended.then((end) => {
    over.abort();
    return end;
  });
  try {
    while (!either.aborted) {
      if (await answers(options, either)) return {ready: true};
      await pause(clock, ASK_EVERY_MS, either);
    }
  } finally {
    timer.cancel();
  }
  signal.throwIfAborted();
  const end = await Promise.race([ended, Promise.resolve(undefined)]);
  const tail = await options.tail();
  if (end !== undefined) return {ready: false, end: endOf(end, tail)};
  const detail = `It did not answer on port ${options.port} within ${readyTimeoutMs / 1000} s.`;
  return {ready: false, end: {reason: 'not-ready', detail, tail}};
}

/** Errors of a start that a user may read. */
const TOLD: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'SANDBOX_COMMAND',
  'SANDBOX_TUNNELS',
  'SANDBOX_ENDED',
  'HUB_HOME',
]);

/** The end of a session whose start has failed. */
export function notStarted(error: unknown): SessionEnd {
  const {code, message, next} = toTunlError(error);
  // Other reasons may name files of this machine.
  const detail = TOLD.has(code)
    ? `${message} ${next}`.trim()
    : 'The hub could not start it; its log says why.';
  return {reason: 'not-started', detail, tail: []};
}

/** The end of a session whose sandbox has ended. */
export function endOf(end: SandboxEnd, tail: readonly string[]): SessionEnd {
  const reason = end.reason === 'failed' ? 'not-started' : end.reason;
  return {reason, detail: end.detail ?? sentenceOf(end), tail};
}

function sentenceOf({reason, code, signal}: SandboxEnd): string {
  switch (reason) {
    case 'exited':
      return signal === undefined
        ? `Its program ended with exit code ${code ?? 0}.`
        : `Its program ended by ${signal}.`;
    case 'timeout':
      return 'Its time was over.';
    case 'idle':
      return 'Nobody used it.';
    case 'oom':
      return 'It needed more memory than its limit.';
    case 'terminated':
      return 'It was stopped.';
    case 'failed':
      return 'Its sandbox could not be started.';
    case 'lost':
      return 'Its sandbox was lost.';
  }
}

async function answers({sandbox, program, port, secret}: RunOptions, signal: AbortSignal): Promise<boolean> {
  try {
    if (program.ready !== undefined) {
      const {path, headers, accept} = program.ready;
      const {status} = await askInside(sandbox, port, {path, headers: headers?.(secret) ?? {}, signal});
      return accept(status);
    }
    const connection: Duplex = await sandbox.dial(port, signal);
    connection.on('error', () => {}).destroy();
    return true;
  } catch {
    // Not yet; whether it can still come is the caller's question.
    return false;
  }
}

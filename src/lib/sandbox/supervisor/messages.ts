// The messages between a supervisor and the process that starts it: the sandbox on its stdin, and two messages back.

import {isErrorCode, TunlError, toTunlError} from '../../core/errors.js';
import type {SandboxOptions} from '../options.js';

/** On stdin, as JSON: arguments and the environment of a process can be read by others. */
export interface Supervised {
  readonly id: string;
  readonly command: readonly string[];
  readonly options: SandboxOptions;
}

/** The first `ok`: the sandbox has its control socket, and is starting. The second one: its command runs. */
export type Message =
  | {readonly ok: true}
  | {readonly error: {readonly code: string; readonly message: string; readonly next: string}};

export function failure(error: unknown): Message {
  const {code, message, next} = toTunlError(error);
  return {error: {code, message, next}};
}

/** @throws TunlError the error in it; SANDBOX_FAILED without a message */
export function readMessage(message: unknown, log: string): void {
  const {ok, error} = (message ?? {}) as {ok?: unknown; error?: Record<string, unknown>};
  if (ok === true) return;
  const {code, message: reason, next} = error ?? {};
  if (typeof reason !== 'string') {
    throw new TunlError('SANDBOX_FAILED', {
      reason: 'The process that should own the sandbox ended without a message.',
      next: `See ${log}.`,
    });
  }
  throw new TunlError(isErrorCode(code) ? code : 'SANDBOX_FAILED', {
    reason,
    ...(typeof next === 'string' && {next}),
  });
}

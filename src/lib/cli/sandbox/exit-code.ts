// The exit code of a command that ran a command inside a sandbox: the same, as a shell reports it.

import {constants} from 'node:os';
import {EXIT} from '../../core/errors.js';
import type {ProcessEnd} from '../../sandbox/backend.js';
import type {SandboxEnd} from '../../sandbox/control.js';

/** As with `timeout`. */
const TIMED_OUT = 124;
/** 128 and the number of SIGKILL. */
const KILLED = 137;

export function exitCodeOf({code, signal, timedOut}: ProcessEnd): number {
  if (timedOut) return TIMED_OUT;
  if (code !== undefined) return code;
  return signal === undefined ? EXIT.unexpected : 128 + constants.signals[signal];
}

/** An end on request is a success, unless the command said otherwise. */
export function exitCodeAfter(end: SandboxEnd): number {
  switch (end.reason) {
    case 'exited':
      return exitCodeOf(end);
    case 'terminated':
      return end.code ?? (end.signal === undefined ? EXIT.ok : exitCodeOf(end));
    case 'timeout':
      return TIMED_OUT;
    case 'oom':
      return KILLED;
    case 'idle':
      return EXIT.ok;
    case 'failed':
    case 'lost':
      return EXIT.unavailable;
  }
}

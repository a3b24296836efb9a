// SIGINT, SIGTERM, SIGHUP: the first asks to end, the second leaves at once. For a daemon SIGHUP means to read files anew.

import type {EventEmitter} from 'node:events';
import {closeSync, openSync} from 'node:fs';
import {EXIT} from '../core/errors.js';

/**
 * `npx` passes on the SIGINT that the terminal has already sent to every process of the group: two signals this close
 * together are one key press.
 */
const ECHO_MS = 300;

export interface SignalOptions {
  /** The first signal. */
  onStop: () => void;
  /** The last chance before the process ends: must be quick. */
  onLeave: () => void;
  /** SIGHUP, as daemons have it. Without it the signal asks to end: the terminal was closed. */
  onReload?: () => void;
  /** Whether there is a terminal that this process belongs to. */
  hasTerminal?: () => boolean;
  source?: EventEmitter;
  now?: () => number;
  leave?: (exitCode: number) => void;
}

/** Listens until disposed. */
export function listenForSignals(options: SignalOptions): Disposable {
  const {source = process, now = () => performance.now(), leave = (code) => process.exit(code)} = options;
  let first: number | undefined;
  const onSignal = () => {
    if (first === undefined) {
      first = now();
      options.onStop();
    } else if (now() - first >= ECHO_MS) {
      options.onLeave();
      leave(EXIT.interrupted);
    }
  };
  const {onReload, hasTerminal = terminalOpens} = options;
  const hadTerminal = onReload !== undefined && hasTerminal();
  const onHangup = () => {
    // A terminal window that was closed sends the same signal: nobody is there any more to end the process.
    if (onReload === undefined || (hadTerminal && !hasTerminal())) onSignal();
    else onReload();
  };
  source.on('SIGINT', onSignal);
  source.on('SIGTERM', onSignal);
  source.on('SIGHUP', onHangup);
  return {
    [Symbol.dispose]() {
      source.off('SIGINT', onSignal);
      source.off('SIGTERM', onSignal);
      source.off('SIGHUP', onHangup);
    },
  };
}

function terminalOpens(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}

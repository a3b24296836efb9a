// SIGINT and SIGTERM: the first asks to end, the second leaves at once.

import type {EventEmitter} from 'node:events';
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
  source.on('SIGINT', onSignal);
  source.on('SIGTERM', onSignal);
  return {
    [Symbol.dispose]() {
      source.off('SIGINT', onSignal);
      source.off('SIGTERM', onSignal);
    },
  };
}

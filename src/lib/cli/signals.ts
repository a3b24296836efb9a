// SIGINT, SIGTERM, SIGHUP: the first asks to end, the second leaves at once. For a daemon SIGHUP means to read files anew.

import type {EventEmitter} from 'node:events';
import {closeSync, openSync} from 'node:fs';
import {EXIT} from '../core/errors.js';

/**
 * `npx` passes on the SIGINT that the terminal has already sent to every process of the group: two signals this close
 * together are one key press.
 */
const ECHO_MS = 300;

/** How long the other side may take to hear that the process leaves, ms. */
const LEAVE_MS = 200;

export interface SignalOptions {
  /** The first signal. */
  onStop: () => void;
  /** The last chance before the process ends. What it waits for has 200 ms, and a third signal does not wait at all. */
  onLeave: () => Promise<void> | undefined;
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
  let last: number | undefined;
  let step: 'up' | 'stopping' | 'leaving' | 'gone' = 'up';
  const go = () => {
    if (step !== 'gone') leave(EXIT.interrupted);
    step = 'gone';
  };
  const onSignal = () => {
    if (last !== undefined && now() - last < ECHO_MS) return;
    last = now();
    if (step === 'up') {
      step = 'stopping';
      options.onStop();
    } else if (step === 'stopping') {
      step = 'leaving';
      const told = options.onLeave();
      if (told === undefined) return go();
      setTimeout(go, LEAVE_MS);
      told.then(go, go);
    } else go();
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

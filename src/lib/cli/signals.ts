// SIGINT, SIGTERM, SIGHUP: the first signal requests the end, the second one ends the process at once. A relay reads its
// files again on SIGHUP.

import type {EventEmitter} from 'node:events';
import {closeSync, openSync} from 'node:fs';
import {isatty} from 'node:tty';
import {systemClock} from '../core/clock.js';
import {EXIT} from '../core/errors.js';

/**
 * The terminal sends SIGINT to every process of the group, and `npx` forwards it once more: two signals within this time
 * are one key press.
 */
const ECHO_MS = 300;

/** Time to tell the other side that the process ends, ms. */
const LEAVE_MS = 200;

export interface SignalOptions {
  /** The first signal. */
  onStop: () => void;
  /** Called just before the process ends. It has 200 ms, and a third signal does not wait for it. */
  onLeave: () => Promise<void> | undefined;
  /** SIGHUP for a daemon. Without this callback the signal requests the end, because the terminal was closed. */
  onReload?: () => void;
  /** True when this process belongs to a terminal. */
  hasTerminal?: () => boolean;
  /** True when this process reads from the terminal or writes to it. */
  usesTerminal?: () => boolean;
  source?: EventEmitter;
  now?: () => number;
  leave?: (exitCode: number) => void;
}

/** Listens until disposed. */
export function listenForSignals(options: SignalOptions): Disposable {
  const {source = process, now = systemClock.now, leave = (code) => process.exit(code)} = options;
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
  const {onReload, hasTerminal = terminalOpens, usesTerminal = someIsTerminal} = options;
  const hadTerminal = hasTerminal();
  const used = usesTerminal();
  const onHangup = () => {
    const isClosed = hadTerminal && !hasTerminal();
    // Started with `nohup`, or with all its streams elsewhere: it was meant to outlive its terminal. Node sets ignored
    // signals to their default at its start, so what `nohup` has set cannot be seen. The signal may come from the terminal,
    // or later from somebody who wants a reload: to reload twice does no harm.
    if (isClosed && !used) return onReload?.();
    // A closed terminal window sends the same signal, and then nobody can end the process any more.
    if (onReload === undefined || isClosed) onSignal();
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

function someIsTerminal(): boolean {
  return isatty(0) || isatty(1) || isatty(2);
}

function terminalOpens(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}

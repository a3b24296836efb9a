// Ctrl+C and SIGTERM for a command that waits for somebody: it gives up in order.

import {limitFlush} from './stdout.js';

export interface StopSignal extends Disposable {
  readonly signal: AbortSignal;
  /** From now on signals are for a command that runs in this terminal: they neither abort nor end this process. */
  release(): void;
  /** The command has ended: signals abort again. */
  resume(): void;
}

/** Listens until disposed. */
export function stopSignal(): StopSignal {
  const stop = new AbortController();
  let isReleased = false;
  const onSignal = () => {
    if (isReleased) return;
    limitFlush();
    stop.abort();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return {
    signal: stop.signal,
    release: () => {
      isReleased = true;
    },
    resume: () => {
      isReleased = false;
    },
    [Symbol.dispose]: () => void process.off('SIGINT', onSignal).off('SIGTERM', onSignal),
  };
}

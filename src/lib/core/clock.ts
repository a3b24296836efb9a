// Time as a parameter: pure layers set no timers of their own, and tests do not wait.

import {setImmediate} from 'node:timers';

export interface Timer {
  /** Idempotent. */
  cancel(): void;
}

export interface Clock {
  /** Monotonic, ms. It has no relation to the time of day. */
  now(): number;
  /** Runs `fn` once after `ms`, not earlier by `now()`. Does not keep the process alive. */
  after(ms: number, fn: () => void): Timer;
  /** Runs `fn` when the current input has been processed (setImmediate). */
  soon(fn: () => void): void;
}

/** Resolves with the value of `what`, or after `ms` without one. @throws what `what` rejects with in time. */
export async function atMost<T>(clock: Clock, ms: number, what: Promise<T>): Promise<T | undefined> {
  let timer: Timer | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = clock.after(ms, () => resolve(undefined));
  });
  try {
    return await Promise.race([what, late]);
  } finally {
    timer?.cancel();
  }
}

/** Resolves after `ms`, or when the signal aborts. */
export function pause(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      timer.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.after(ms, done);
    signal?.addEventListener('abort', done, {once: true});
    if (signal?.aborted) done();
  });
}

/**
 * The clock of `performance.now()`, at the same price, without its module: that measures much else as well, and takes 1 MB.
 */
function monotonicMs(): number {
  // By index: taking an array apart costs an iterator.
  const time = process.hrtime();
  return time[0] * 1_000 + time[1] / 1_000_000;
}

/** Node fires a timer of 25 days or more at once, so a longer wait consists of several timers. */
const LONGEST_TIMER_MS = 2 ** 30;

export const systemClock: Clock = {
  now: monotonicMs,
  after(ms, fn) {
    const due = monotonicMs() + ms;
    let handle: NodeJS.Timeout | undefined;
    const wait = (leftMs: number) => {
      handle = setTimeout(look, Math.min(leftMs, LONGEST_TIMER_MS));
      handle.unref();
    };
    // Node counts in whole milliseconds, so a timer may come up to two before its time, and its owner would not look again.
    const look = () => {
      const leftMs = due - monotonicMs();
      if (leftMs > 0) wait(leftMs);
      else fn();
    };
    wait(ms);
    return {cancel: () => clearTimeout(handle)};
  },
  soon: (fn) => void setImmediate(fn),
};

// Time as a value that is handed in, so that pure layers set no timer of their own and tests need not wait.

export interface Timer {
  /** Idempotent. */
  cancel(): void;
}

export interface Clock {
  /** Monotonic, ms. Says nothing about the time of day. */
  now(): number;
  /** Runs `fn` once after `ms`. Never keeps the process alive by itself. */
  after(ms: number, fn: () => void): Timer;
  /** Runs `fn` when the current input has been worked off (setImmediate). */
  soon(fn: () => void): void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, fn) {
    const handle = setTimeout(fn, ms);
    handle.unref();
    return {cancel: () => clearTimeout(handle)};
  },
  soon: (fn) => void setImmediate(fn),
};

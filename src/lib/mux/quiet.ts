// Decides which streams are quiet: those that have sent so little since the last lull that their frames may overtake bulk.

/**
 * A stream that has sent at most QUIET_BYTES is quiet. Its count begins again when the queue was empty, after LULL_MS on a
 * link that keeps up, and after LULL_BYTES of all streams on one that does not.
 */
const QUIET_BYTES = 16 * 1024;
const LULL_MS = 10;
const LULL_BYTES = 512 * 1024;

/** The counters of one stream. */
export interface QuietCount {
  /** The lull since which its bytes count. */
  lull: number;
  /** Bytes that it has sent as a quiet stream since then. */
  urgentBytes: number;
}

/** The result of a flush: everything was sent, the carrier took everything that was offered, or the carrier is full. */
export type Progress = 'done' | 'keeps-up' | 'behind';

export class Quiet {
  #lull = 0;
  #lullAt = 0;
  #lullSealed = 0;

  /** True when the stream of `count` stays quiet with `length` more bytes. */
  includes(count: QuietCount, length: number): boolean {
    if (count.lull !== this.#lull) {
      count.lull = this.#lull;
      count.urgentBytes = 0;
    }
    return count.urgentBytes + length <= QUIET_BYTES;
  }

  /** Called after a flush. `sealed`: the bytes of all streams that have left so far. */
  flushed(progress: Progress, now: number, sealed: number): void {
    if (!this.#isLull(progress, now) && sealed - this.#lullSealed <= LULL_BYTES) return;
    this.#lull += 1;
    this.#lullAt = now;
    this.#lullSealed = sealed;
  }

  #isLull(progress: Progress, now: number): boolean {
    switch (progress) {
      case 'done':
        return true;
      case 'keeps-up':
        return now - this.#lullAt > LULL_MS;
      case 'behind':
        return false;
    }
  }
}

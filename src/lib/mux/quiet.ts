// Which streams are quiet: those that have sent so little since the last lull that their frames may overtake bulk.

/**
 * A stream that sent no more than QUIET_BYTES is quiet. It is counted anew when the queue was empty, after LULL_MS on a
 * link that keeps up, and after LULL_BYTES of everybody's on one that does not.
 */
const QUIET_BYTES = 16 * 1024;
const LULL_MS = 10;
const LULL_BYTES = 512 * 1024;

/** What is noted at a stream. */
export interface Talker {
  /** The lull since which it is counted. */
  lull: number;
  /** What it has sent since then as a quiet one. */
  urgentBytes: number;
}

/** What a flush found: nothing is left to send, the carrier took all that was offered until now, or it holds back. */
export type Progress = 'done' | 'keeps-up' | 'behind';

export class Quiet {
  #lull = 0;
  #lullAt = 0;
  #lullSealed = 0;

  /** Whether `talker` still is if it sends `length` bytes more. */
  includes(talker: Talker, length: number): boolean {
    if (talker.lull !== this.#lull) {
      talker.lull = this.#lull;
      talker.urgentBytes = 0;
    }
    return talker.urgentBytes + length <= QUIET_BYTES;
  }

  /** After a flush. `sealed`: bytes of everybody's that have left so far. */
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

// Limits the bulk that is under way at once. Alone, bulk may fill the carrier. Beside small frames of other streams it may
// only keep the link busy: the kernels on the path buffer megabytes, and later frames wait behind them.

import type {Clock} from '../core/clock.js';

/**
 * The minimum of bulk under way beside small frames. On a short link it is two reads, so that neither side waits for the
 * other; on a longer one that would be a queue of 40 ms at 100 Mbit/s.
 */
const LEAST_BYTES = 512 * 1024;
const LEAST_BYTES_FAR = 128 * 1024;
/** From this round trip on, the peer is not on this machine or its network. */
const FAR_MS = 5;

/** This long after the last small frame, nothing waits behind bulk: longer than between two keystrokes. */
const BESIDE_MS = 300;

/** The shortest time for a sample of the rate: a turn of a busy event loop must not look like a slow link. */
const SAMPLE_MS = 10;

/** When more bulk under way does not raise the rate by this factor, the rate is the link's limit. */
const GAIN = 1.25;

/** This many segments of other streams distinguish a small frame beside bulk from a pause of the bulk stream itself. */
const OTHERS_SEGMENTS = 16;

export class BulkPace {
  #besideUntil = Number.NEGATIVE_INFINITY;
  #sampleFrom = 0;
  #sampleBytes = 0;
  /** Bytes that the peer acknowledged per ms, in the last sample and the one before. */
  #rate = 0;
  #rateBefore = 0;

  /** A quiet stream sent something after `others` bulk segments that were not its own. */
  small(others: number, clock: Pick<Clock, 'now'>): void {
    if (others >= OTHERS_SEGMENTS) this.#besideUntil = clock.now() + BESIDE_MS;
  }

  /** The peer acknowledged `bytes` more. */
  acknowledged(bytes: number, now: number, rttMs: number): void {
    this.#sampleBytes += bytes;
    const ms = now - this.#sampleFrom;
    if (ms < Math.max(SAMPLE_MS, Math.min(rttMs, 1_000))) return;
    this.#rateBefore = this.#rate;
    this.#rate = this.#sampleBytes / ms;
    this.#sampleFrom = now;
    this.#sampleBytes = 0;
  }

  /** The most that may be unacknowledged while more bulk is sent: the link's known capacity, and some more to find its limit. */
  limit(now: number, rttMs: number): number {
    if (now >= this.#besideUntil || !Number.isFinite(rttMs)) return Number.POSITIVE_INFINITY;
    const least = rttMs < FAR_MS ? LEAST_BYTES : LEAST_BYTES_FAR;
    return Math.max(least, GAIN * Math.max(this.#rate, this.#rateBefore) * rttMs);
  }
}

// Measures round trips on one carrier, with numbered pings.

/** Round trips measured on a new link: during the first, both sides run cold code. */
const FIRST_PINGS = 3;
const MEASURE_EVERY_MS = 1_000;

export class RoundTrips {
  #number = 0;
  /** The time of the last ping, while it has no answer. */
  #sentAt: number | undefined;
  #measuredAt = Number.NEGATIVE_INFINITY;
  #shortestMs = Number.POSITIVE_INFINITY;
  #lastMs: number | undefined;

  /** Infinity before the first. */
  get shortestMs(): number {
    return this.#shortestMs;
  }

  /** The last round trip, with the time in queues before the ping; undefined before the first. */
  get lastMs(): number | undefined {
    return this.#lastMs;
  }

  /** True when a ping should be sent on an otherwise idle link. */
  isDue(now: number): boolean {
    return this.#sentAt === undefined && now - this.#measuredAt >= MEASURE_EVERY_MS;
  }

  /** Returns the payload of a ping that is sent now. It replaces an earlier ping without an answer. */
  ping(now: number): Buffer {
    const payload = Buffer.alloc(8);
    this.#number = (this.#number + 1) >>> 0;
    payload.writeUInt32BE(this.#number, 4);
    this.#sentAt = now;
    this.#measuredAt = now;
    return payload;
  }

  /** An answer came. Returns whether another ping should follow. */
  pong(payload: Buffer, now: number): boolean {
    if (this.#sentAt === undefined || payload.readUInt32BE(4) !== this.#number) return false;
    this.#lastMs = now - this.#sentAt;
    this.#shortestMs = Math.min(this.#shortestMs, this.#lastMs);
    this.#sentAt = undefined;
    return this.#number < FIRST_PINGS;
  }
}

// Whether visitors use a sandbox. An open connection alone does not count: a forgotten tab sends a few bytes now and then to
// keep its connection alive.

import type {Clock} from '../core/clock.js';

/** Bytes from visitors within a minute that count as use. */
const USE_BYTES = 256;
const MINUTE_MS = 60_000;

/** The visitors of one tunnel. */
export interface VisitedTunnel {
  /** Bytes from all visitors so far. */
  readonly traffic: {readonly bytesIn: number};
  /** The present ones. Each is the same object as long as it is there. */
  readonly visitors: Iterable<{readonly bytesIn: number}>;
}

interface Mark {
  at: number;
  bytes: number;
}

/**
 * A visitor that has been there for longer than a minute must send USE_BYTES in a minute by itself. Short ones count together:
 * many small requests are use.
 */
export class VisitorTraffic {
  readonly #clock: Clock;
  readonly #marks = new WeakMap<object, Mark & {since: number; seen: number}>();
  readonly #totals = new WeakMap<object, number>();
  #short: Mark = {at: 0, bytes: 0};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** True when there was use since the last look. The first look of a tunnel counts from zero. */
  look(tunnels: Iterable<VisitedTunnel>): boolean {
    const now = this.#clock.now();
    let isUsed = false;
    if (now - this.#short.at >= MINUTE_MS) this.#short = {at: now, bytes: 0};
    for (const tunnel of tunnels) {
      const total = tunnel.traffic.bytesIn;
      let shortBytes = total - (this.#totals.get(tunnel) ?? 0);
      this.#totals.set(tunnel, total);
      for (const visitor of tunnel.visitors) {
        const {bytesIn} = visitor;
        const mark = this.#marks.get(visitor) ?? {at: now, bytes: 0, since: now, seen: 0};
        this.#marks.set(visitor, mark);
        const isLong = now - mark.since >= MINUTE_MS;
        if (isLong) shortBytes -= bytesIn - mark.seen;
        mark.seen = bytesIn;
        if (bytesIn - mark.bytes >= USE_BYTES) {
          isUsed = true;
          Object.assign(mark, {at: now, bytes: bytesIn});
        } else if (now - mark.at >= MINUTE_MS) Object.assign(mark, {at: now, bytes: bytesIn});
      }
      this.#short.bytes += Math.max(0, shortBytes);
    }
    if (this.#short.bytes >= USE_BYTES) {
      isUsed = true;
      this.#short = {at: now, bytes: 0};
    }
    return isUsed;
  }
}

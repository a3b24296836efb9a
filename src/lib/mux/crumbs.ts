// Gathers the small pieces of a stream that is not read: each would keep the whole chunk that it came in in memory, and a
// peer that sends its data byte by byte could fill a relay with a window or two.

/** A piece below this share of its chunk is a crumb. */
const CRUMB_SHARE = 4;

/** What is gathered at the most. */
const GATHER_BYTES = 16 * 1024;

export function isCrumb(piece: Buffer): boolean {
  return piece.length * CRUMB_SHARE < piece.buffer.byteLength && piece.length <= GATHER_BYTES;
}

export class Crumbs {
  #buffer: Buffer | undefined;
  #bytes = 0;
  /** Somebody will call `take` soon. */
  awaited = false;

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether so much more can be added before `take`. */
  fits(bytes: number): boolean {
    return this.#bytes + bytes <= GATHER_BYTES;
  }

  add(piece: Buffer): void {
    this.#buffer ??= Buffer.allocUnsafeSlow(GATHER_BYTES);
    piece.copy(this.#buffer, this.#bytes);
    this.#bytes += piece.length;
  }

  /** All that was gathered, as one piece that keeps little more than itself in memory. */
  take(): Buffer | undefined {
    const buffer = this.#buffer;
    const bytes = this.#bytes;
    if (buffer === undefined || bytes === 0) return undefined;
    this.#bytes = 0;
    const piece = buffer.subarray(0, bytes);
    if (bytes * CRUMB_SHARE >= GATHER_BYTES) {
      this.#buffer = undefined;
      return piece;
    }
    // Not from Node's own pool, of which a crumb would keep a part in memory as well.
    const copy = Buffer.allocUnsafeSlow(bytes);
    piece.copy(copy);
    return copy;
  }
}

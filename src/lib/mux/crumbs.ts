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
  readonly #soon: (fn: () => void) => void;
  readonly #deliver: (piece: Buffer) => void;
  #buffer: Buffer | undefined;
  #bytes = 0;
  #scheduled = false;

  /** @param soon runs a function when the current input has been worked off. */
  constructor(soon: (fn: () => void) => void, deliver: (piece: Buffer) => void) {
    this.#soon = soon;
    this.#deliver = deliver;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps the piece; it is delivered with the others when that was asked for, and `soon` in any case. */
  add(piece: Buffer, soon: boolean): void {
    if (this.#bytes + piece.length > GATHER_BYTES) this.flush();
    this.#buffer ??= Buffer.allocUnsafeSlow(GATHER_BYTES);
    piece.copy(this.#buffer, this.#bytes);
    this.#bytes += piece.length;
    if (!soon || this.#scheduled) return;
    this.#scheduled = true;
    this.#soon(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  /** Delivers all that was gathered as one piece, which keeps little more than itself in memory. */
  flush(): void {
    const gathered = this.#buffer?.subarray(0, this.#bytes);
    if (gathered === undefined || gathered.length === 0) return;
    this.#bytes = 0;
    if (gathered.length * CRUMB_SHARE >= GATHER_BYTES) {
      this.#buffer = undefined;
      this.#deliver(gathered);
      return;
    }
    this.#deliver(copyAlone(gathered));
  }
}

/** A copy that keeps nothing but itself in memory: not from Node's own pool, of which it would keep a part as well. */
export function copyAlone(piece: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(piece.length);
  piece.copy(copy);
  return copy;
}

// Gathers small pieces of a stream that is not read. Each piece would keep its whole chunk in memory, and a peer that sends
// byte by byte could fill a relay's memory with one or two windows.

/** A piece below this share of its chunk is a crumb. */
const CRUMB_SHARE = 4;

/** The most bytes that are gathered. */
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

  /** @param soon runs a function when the current input has been processed. */
  constructor(soon: (fn: () => void) => void, deliver: (piece: Buffer) => void) {
    this.#soon = soon;
    this.#deliver = deliver;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps the piece until `flush`. With `soon` it is delivered when the current input has been processed, at the latest. */
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

  /** Delivers all gathered bytes as one piece, which holds little more memory than its own. */
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

/** A copy with separate memory. Node's pool is not used, because a part of the pool would stay in memory with the copy. */
export function copyAlone(piece: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(piece.length);
  piece.copy(copy);
  return copy;
}

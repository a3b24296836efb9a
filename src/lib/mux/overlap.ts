// A hello tells the peer how much was received. Bytes that the old link brings after that come again on the new link.
// Until then they are not acknowledged: the peer would drop bytes that it still has to send again.

import type {Acks} from './acks.js';

export class Overlap {
  readonly #acks: Acks;
  /** The number of hellos under way with such a count. */
  #offers = 0;
  /** Bytes that came on the old link after the hello and will come again on the new one. */
  #repeated = 0;

  constructor(acks: Acks) {
    this.#acks = acks;
  }

  /** True while the new link repeats bytes that were received before. */
  get repeats(): boolean {
    return this.#repeated > 0;
  }

  /** Returns the count for a hello while the old link may be alive. The caller must call `settle` when the handshake has ended. */
  offer(): number {
    this.#offers += 1;
    this.#acks.hold();
    return this.#acks.received;
  }

  settle(): void {
    this.#offers -= 1;
    this.#release();
  }

  /** A new link takes over. `told` is the count in its hello; undefined: everything that was received. */
  begin(told: number | undefined): void {
    const {received} = this.#acks;
    const known = told ?? received;
    this.#acks.told(known);
    this.#acks.hold();
    this.#repeated = received - known;
    this.#release();
  }

  /** Returns the new part of `piece`; undefined when there is none. */
  skip(piece: Buffer): Buffer | undefined {
    const repeated = Math.min(this.#repeated, piece.length);
    this.#repeated -= repeated;
    // Bytes of the old link are acknowledged when the peer has sent them on this one.
    this.#release();
    return repeated < piece.length ? piece.subarray(repeated) : undefined;
  }

  #release(): void {
    if (this.#offers === 0 && this.#repeated === 0) this.#acks.release();
  }
}

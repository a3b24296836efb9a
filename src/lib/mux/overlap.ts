// What the old link still brings after a hello has told the peer how much was received: the new link brings it once more.
// Until it has, nothing is acknowledged: what the peer drops now it could not send again.

import type {Acks} from './acks.js';

export class Overlap {
  readonly #acks: Acks;
  /** Hellos under way that told the peer how much was received. */
  #offers = 0;
  /** Bytes that the old link brought after the hello, and that the new one brings again. */
  #repeated = 0;

  constructor(acks: Acks) {
    this.#acks = acks;
  }

  /** What the new link brings next is known here already. */
  get repeats(): boolean {
    return this.#repeated > 0;
  }

  /** The count that a hello tells the peer, while the old link may still live. `settle` is due when the hello came to something or not. */
  offer(): number {
    this.#offers += 1;
    this.#acks.hold();
    return this.#acks.received;
  }

  settle(): void {
    this.#offers -= 1;
    this.#release();
  }

  /** A new link takes over, on which the peer was told `told`; undefined: of all that was received. */
  begin(told: number | undefined): void {
    const {received} = this.#acks;
    const known = told ?? received;
    this.#acks.told(known);
    this.#acks.hold();
    this.#repeated = received - known;
    this.#release();
  }

  /** Returns what is new of `piece`; undefined when nothing is. */
  skip(piece: Buffer): Buffer | undefined {
    const repeated = Math.min(this.#repeated, piece.length);
    this.#repeated -= repeated;
    // What was read from the old link is acknowledged as soon as the peer has sent it on this one.
    this.#release();
    return repeated < piece.length ? piece.subarray(repeated) : undefined;
  }

  #release(): void {
    if (this.#offers === 0 && this.#repeated === 0) this.#acks.release();
  }
}

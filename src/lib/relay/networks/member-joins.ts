// The streams from and to one member, and the bytes that went through them here.

import type {StreamJoin} from '../../bytes/stream-join.js';
import type {RendezvousBytes} from './rendezvous.js';

/** Which end of the join the member is. */
type End = 'opener' | 'target';

interface Counted {
  readonly end: End;
  readonly beside: () => RendezvousBytes;
}

const noBytes = (): RendezvousBytes => ({fromOpener: 0, fromTarget: 0});

export interface Traffic {
  /** Bytes from other members to it. */
  bytesIn: number;
  /** Bytes from it to other members. */
  bytesOut: number;
}

export class MemberJoins {
  readonly #open = new Map<StreamJoin, Counted>();
  /** The bytes of joins that are over. */
  readonly #ended: Traffic = {bytesIn: 0, bytesOut: 0};

  get size(): number {
    return this.#open.size;
  }

  /** @param beside the bytes of its members that do not go through the join */
  add(join: StreamJoin, end: End, beside = noBytes): void {
    const counted = {end, beside};
    this.#open.set(join, counted);
    join.onOver(() => {
      this.#open.delete(join);
      count(this.#ended, join, counted);
    });
  }

  /** With that of open joins. */
  get traffic(): Traffic {
    const sum = {...this.#ended};
    for (const [join, counted] of this.#open) count(sum, join, counted);
    return sum;
  }

  [Symbol.iterator](): Iterator<StreamJoin> {
    return this.#open.keys();
  }
}

function count(sum: Traffic, {bytes}: StreamJoin, {end, beside}: Counted): void {
  const more = beside();
  const fromOpener = bytes.fromOpener + more.fromOpener;
  const toOpener = bytes.toOpener + more.fromTarget;
  sum.bytesIn += end === 'opener' ? toOpener : fromOpener;
  sum.bytesOut += end === 'opener' ? fromOpener : toOpener;
}

// The streams from and to one member, and the bytes that went through them here.

import type {StreamJoin} from '../../bytes/stream-join.js';

/** Which end of the join the member is. */
type End = 'opener' | 'target';

export interface Traffic {
  /** Bytes from other members to it. */
  bytesIn: number;
  /** Bytes from it to other members. */
  bytesOut: number;
}

export class MemberJoins {
  readonly #open = new Map<StreamJoin, End>();
  /** The bytes of joins that are over. */
  readonly #ended: Traffic = {bytesIn: 0, bytesOut: 0};

  get size(): number {
    return this.#open.size;
  }

  add(join: StreamJoin, end: End): void {
    this.#open.set(join, end);
    join.onOver(() => {
      this.#open.delete(join);
      count(this.#ended, join, end);
    });
  }

  /** With that of open joins. */
  get traffic(): Traffic {
    const sum = {...this.#ended};
    for (const [join, end] of this.#open) count(sum, join, end);
    return sum;
  }

  [Symbol.iterator](): Iterator<StreamJoin> {
    return this.#open.keys();
  }
}

function count(sum: Traffic, {bytes: {fromOpener, toOpener}}: StreamJoin, end: End): void {
  sum.bytesIn += end === 'opener' ? toOpener : fromOpener;
  sum.bytesOut += end === 'opener' ? fromOpener : toOpener;
}

// The bytes that a session still owes its peer: those that wait to be sent, and those that were sent and are not
// acknowledged.
//
// Frames wait in two lanes. `urgent` has frames that must not wait behind bulk data: credit, opens, answers, resets, and the
// small frames of quiet streams. `bulk` has the rest. A frame gets its position in the session's byte count only when it
// leaves its lane (*sealed*), so urgent frames overtake bulk ones of other streams. Sealed segments stay in the log
// until the peer has acknowledged them, and a new carrier sends them again from the byte where the old one broke.

import type {Block, BlockPool} from './blocks.js';
import {type KeepFrame, Lane, type Place, type Segment} from './lane.js';

export type LaneName = 'urgent' | 'bulk';

/** @returns false when the carrier is full for now. `written` must be called when the carrier is done with the bytes. */
export type SendSegment = (buffer: Buffer, start: number, end: number, written: () => void) => boolean;

export class Outbox {
  readonly #lanes: Readonly<Record<LaneName, Lane>>;
  /** Sealed segments, oldest first, from `#head` on. */
  #log: Segment[] = [];
  #head = 0;
  /** The index of the next segment for the carrier. */
  #cursor = 0;
  /** Bytes of the segment at the cursor that the peer already has (after a resume). */
  #skip = 0;
  /** Counts of session bytes: sealed, sent on this carrier, sent on any carrier, acknowledged, released. */
  #sealed = 0;
  #sent = 0;
  #everSent = 0;
  #acked = 0;
  #dropped = 0;
  /** False: sealed bytes are dropped as soon as the carrier has them (to measure the cost of replay). */
  readonly #keeps: boolean;

  constructor(pool: BlockPool, options: {keepForReplay?: boolean} = {}) {
    this.#lanes = {urgent: new Lane(pool), bulk: new Lane(pool)};
    this.#keeps = options.keepForReplay ?? true;
  }

  /** Bytes waiting in both lanes. */
  get waitingBytes(): number {
    return this.#lanes.urgent.bytes + this.#lanes.bulk.bytes;
  }

  get urgentBytes(): number {
    return this.#lanes.urgent.bytes;
  }

  /** The count of sealed session bytes. */
  get sealedBytes(): number {
    return this.#sealed;
  }

  get ackedBytes(): number {
    return this.#acked;
  }

  /** Bytes that are sealed and not acknowledged: they are kept for replay. */
  get unackedBytes(): number {
    return this.#sealed - this.#acked;
  }

  get unsent(): boolean {
    return this.#cursor < this.#log.length;
  }

  /** The mark of a bulk frame written now; compare with `bulkIsWaiting`. */
  get bulkMark(): number {
    return this.#lanes.bulk.mark;
  }

  bulkIsWaiting(mark: number): boolean {
    return this.#lanes.bulk.isWaiting(mark);
  }

  /**
   * Claims room for a frame at the end of a lane. With `least` < `most` the frame may be cut to the room in the current
   * block, so that blocks fill up.
   */
  claim(name: LaneName, most: number, least = most): Place {
    return this.#lanes[name].claim(most, least);
  }

  /** Takes over a block whose frames are at [HEADER_ROOM, end). The caller's hold passes to the outbox. */
  adopt(block: Block, end: number): void {
    this.#lanes.bulk.adopt(block, end);
  }

  /** Seals all urgent frames. */
  sealUrgent(): void {
    if (this.#lanes.urgent.bytes === 0) return;
    for (const segment of this.#lanes.urgent.takeAll()) this.#seal(segment);
  }

  /** Seals the oldest bulk segment. Returns false when there is none. */
  sealBulk(): boolean {
    const segment = this.#lanes.bulk.take();
    if (segment === undefined) return false;
    this.#seal(segment);
    return true;
  }

  /**
   * Drops waiting frames that `keep` does not keep: `keep` gets the urgent ones first, each lane in order. Sealed frames
   * stay. `onMark`: the bulk mark of a stream whose frames stay.
   */
  drop(keep: KeepFrame, onMark: (streamId: number, mark: number) => void): void {
    this.#lanes.urgent.rewrite(keep, () => {});
    this.#lanes.bulk.rewrite(keep, onMark);
  }

  #seal(segment: Segment): void {
    this.#sealed += segment.end - segment.start;
    this.#log.push(segment);
  }

  /**
   * Hands the next sealed segment to `send`, with HEADER_ROOM bytes free in front of it.
   * @returns what `send` returned; undefined when nothing is left.
   */
  sendNext(send: SendSegment): boolean | undefined {
    const segment = this.#log[this.#cursor];
    if (segment === undefined) return undefined;
    const start = segment.start + this.#skip;
    this.#skip = 0;
    this.#cursor += 1;
    this.#sent += segment.end - start;
    if (this.#sent > this.#everSent) this.#everSent = this.#sent;
    // The carrier's own hold: before the carrier has released the bytes, an ack may come, or the session may end, and the
    // next user of the block may be another session.
    segment.block.hold();
    const go = send(segment.block.buffer, start, segment.end, segment.block.onWritten);
    if (!this.#keeps) this.#drop(this.#sent);
    return go;
  }

  /** The peer has the first `count` bytes. Returns false when fewer were sent, or when an earlier ack was higher. */
  acknowledge(count: number): boolean {
    if (!this.#keeps) return count <= this.#sent;
    if (count < this.#acked || count > this.#sent) return false;
    this.#drop(count);
    return true;
  }

  #drop(count: number): void {
    this.#acked = count;
    while (this.#head < this.#cursor) {
      const segment = this.#log[this.#head] as Segment;
      const length = segment.end - segment.start;
      if (this.#dropped + length > count) break;
      this.#dropped += length;
      this.#head += 1;
      segment.block.release();
    }
    this.#compact();
  }

  /** The log is an array with a moving head; this cuts it now and then, and idle lanes release their blocks. */
  #compact(): void {
    if (this.#head === this.#log.length) {
      this.#log = [];
      this.#cursor = 0;
      this.#head = 0;
      this.#lanes.urgent.giveBack();
      this.#lanes.bulk.giveBack();
    } else if (this.#head > 256) {
      this.#log = this.#log.slice(this.#head);
      this.#cursor -= this.#head;
      this.#head = 0;
    }
  }

  /** A new carrier: the peer has `count` bytes, and all later bytes are sent again. Returns false when `count` is impossible. */
  rewind(count: number): boolean {
    if (count < this.#acked || count > this.#everSent) return false;
    this.#cursor = this.#log.length;
    this.#drop(count);
    this.#cursor = this.#head;
    this.#skip = count - this.#dropped;
    this.#sent = count;
    return true;
  }

  /** The session is over: returns everything to the pool. */
  clear(): void {
    for (let at = this.#head; at < this.#log.length; at += 1) this.#log[at]?.block.release();
    this.#lanes.urgent.clear();
    this.#lanes.bulk.clear();
    this.#log = [];
    this.#head = 0;
    this.#cursor = 0;
    this.#acked = this.#sealed;
  }
}

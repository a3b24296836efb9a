// What a peer may cost this process in one turn of the event loop: beyond it the rest of what came waits for another turn,
// and so does everything after it. Bytes are bounded by windows, this bounds how many small things they can be.
//
// What visitors cause comes as often as they want it to. Pings, messages and what asks for decisions come a few times a second from
// a peer that means well: a link that brings mostly those rests between its turns, and leaves the processor to others.

import type {Clock} from '../core/clock.js';
import {FRAME, RECORD} from '../protocol/wire.js';

/** Units of one link and turn: about a millisecond. A unit is about two microseconds. */
const UNITS_PER_TURN = 512;
/** With fewer left than this, the link asks for more. */
const ASK_BELOW = UNITS_PER_TURN / 2;
/** A link that spent so much of what it had on dear things rests for so long, ms. */
const DEAR_UNITS = ASK_BELOW;
const REST_MS = 2;

/** A piece of data is a write to a socket, however small it is. */
export const DATA_UNITS = 4;
export const ACK_UNITS = 4;

const RECORD_UNITS: Readonly<Record<number, number>> = {
  [RECORD.segment]: 1,
  [RECORD.ack]: ACK_UNITS,
  [RECORD.pong]: 1,
  /** It is answered, and the answer is a write of its own. */
  [RECORD.ping]: 8,
  /** JSON. */
  [RECORD.message]: 32,
};
/** An ack that acknowledges something is as frequent as what was sent; the link sees to the others. */
const DEAR_RECORDS: readonly number[] = [RECORD.ping, RECORD.message];

const FRAME_UNITS: Readonly<Record<number, number>> = {
  /** JSON, and a stream that somebody has to be told of. */
  [FRAME.open]: 8,
  /** JSON, a claim, a line of the log, an answer. */
  [FRAME.control]: 64,
};

/** A record was read. */
export function spendOnRecord(work: WorkLeft, type: number): void {
  const units = RECORD_UNITS[type] ?? 1;
  work.left -= units;
  if (DEAR_RECORDS.includes(type)) work.dear += units;
}

/** A frame was read; not one of DATA, which is on the way of every byte and costs DATA_UNITS. */
export function spendOnFrame(work: WorkLeft, type: number, isDear: boolean): void {
  const units = FRAME_UNITS[type] ?? 1;
  work.left -= units;
  if (isDear) work.dear += units;
}

/** Gives the links that share it more to spend, one link a turn: many links cost each other what one would. */
export class Turns {
  readonly #clock: Clock;
  #asking: (() => void)[] = [];
  #isDue = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `fn` runs in a later turn, once for each call, and in a turn of its own. */
  ask(fn: () => void, afterMs = 0): void {
    if (afterMs > 0) {
      this.#clock.after(afterMs, () => this.ask(fn));
      return;
    }
    this.#asking.push(fn);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#clock.soon(() => {
      this.#isDue = false;
      const next = this.#asking.shift();
      if (this.#asking.length > 0) this.#schedule();
      next?.();
    });
  }
}

/** What readers see of it. */
export interface WorkLeft {
  /** Readers count down; at nothing or below they stop in front of the next record or frame. */
  left: number;
  /** Of what was spent: on what an honest peer sends rarely. */
  dear: number;
  /** Bytes at the end of the piece just handed on that its reader did not take, for want of work left. They come again. */
  unread: number;
}

export const unlimited = (): WorkLeft => ({left: Number.POSITIVE_INFINITY, dear: 0, unread: 0});

export class Work implements WorkLeft {
  left = UNITS_PER_TURN;
  dear = 0;
  unread = 0;
  readonly #turns: Turns;
  readonly #onMore: () => void;
  #isAsking = false;

  constructor(turns: Turns, onMore: () => void) {
    this.#turns = turns;
    this.#onMore = onMore;
  }

  /** After each chunk. */
  settle(): void {
    if (this.left >= ASK_BELOW || this.#isAsking) return;
    this.#isAsking = true;
    const restMs = this.dear >= DEAR_UNITS ? REST_MS : 0;
    this.#turns.ask(() => {
      this.#isAsking = false;
      this.left = UNITS_PER_TURN;
      this.dear = 0;
      this.#onMore();
    }, restMs);
  }
}

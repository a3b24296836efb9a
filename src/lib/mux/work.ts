// Limits the work that a peer can cause in one turn of the event loop. Beyond the limit the rest of its input waits for
// another turn. Windows limit the number of bytes; this limits the number of small frames and records in them.
//
// Frames that visitors cause may be frequent. An honest peer sends pings, messages and requests only a few times a second: a
// link that carries mostly those pauses between its turns, so that other links get CPU time.

import type {Clock} from '../core/clock.js';
import {FRAME, RECORD} from '../protocol/wire.js';

/** Units of one link in one turn: about a millisecond. A unit is about two microseconds. */
const UNITS_PER_TURN = 512;
/**
 * From this many spent units on, the link asks for new ones. It asks early, so that a turn begins with nearly all of them: a link
 * that runs out in the middle of a turn pauses its carrier, and its visitors' bytes leave in two writes instead of one.
 */
const ASK_FROM = UNITS_PER_TURN / 16;
/** A link that spent RARE_UNITS on rare input, out of not many more units, is paused for REST_MS. */
const RARE_UNITS = UNITS_PER_TURN / 2;
const REST_MS = 2;
/**
 * Turns with rare input, of all links together: one in this many ms, which is about a third of a processor, and so many ms of
 * them at once. A hundred agents that bind all their names again together must not slow down everybody else.
 */
const RARE_TURN_EVERY_MS = 3;
const RARE_BURST_MS = 60;

/**
 * Messages of all links in one turn, such as hellos and goodbyes: about half a millisecond. Each begins or ends a session, and
 * many may have come together while this process waited for a processor.
 */
const MESSAGES_PER_TURN = 4;

/** Each piece of data is a write to a socket, even a small one. */
export const DATA_UNITS = 4;
export const ACK_UNITS = 4;
/** A piece of input of any size. A peer can send each byte as a message of its own. */
export const CHUNK_UNITS = 1;

const RECORD_UNITS: Readonly<Record<number, number>> = {
  [RECORD.segment]: 1,
  [RECORD.ack]: ACK_UNITS,
  [RECORD.pong]: 1,
  /** A ping is answered, and the answer is another write. */
  [RECORD.ping]: 8,
  /** JSON. */
  [RECORD.message]: 32,
};
/** New acks are as frequent as the data of this side. The link limits the others. */
const RARE_RECORDS: readonly number[] = [RECORD.ping, RECORD.message];

const FRAME_UNITS: Readonly<Record<number, number>> = {
  /** JSON, and a new stream for its owner. */
  [FRAME.open]: 8,
  /** JSON, a lease, a line in the log, an answer. */
  [FRAME.control]: 64,
};

/** A record was read. */
export function spendOnRecord(work: WorkLeft, type: number): void {
  const units = RECORD_UNITS[type] ?? 1;
  work.left -= units;
  if (RARE_RECORDS.includes(type)) work.rare += units;
}

/** Counts a frame other than DATA. DATA is on the hot path and costs DATA_UNITS. */
export function spendOnFrame(work: WorkLeft, type: number, isRare: boolean): void {
  const units = FRAME_UNITS[type] ?? 1;
  work.left -= units;
  if (isRare) work.rare += units;
}

/** Gives new work to the links that share it, one link in each turn, so that many links together block no longer than one. */
export class Turns {
  readonly #clock: Clock;
  #asking: (() => void)[] = [];
  #isDue = false;
  /** The time of the clock from which the next turn with rare input may come. */
  #rareFrom = Number.NEGATIVE_INFINITY;
  /** Messages in this turn. */
  #messages = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `fn` once for each call, in a later turn that no other `fn` shares. */
  ask(fn: () => void): void {
    this.#asking.push(fn);
    this.#schedule();
  }

  /** Like `ask`, for a link that carries mostly rare input: such turns get a share of the processor. */
  askLater(fn: () => void): void {
    const now = this.#clock.now();
    this.#rareFrom = Math.max(this.#rareFrom, now - RARE_BURST_MS) + RARE_TURN_EVERY_MS;
    this.#clock.after(Math.max(REST_MS, this.#rareFrom - now), () => this.ask(fn));
  }

  /** Counts a message, and returns false when this turn has had enough of them. */
  takeMessage(): boolean {
    if (this.#messages >= MESSAGES_PER_TURN) return false;
    if (this.#messages === 0) this.#clock.soon(this.#forgetMessages);
    this.#messages += 1;
    return true;
  }

  readonly #forgetMessages = (): void => {
    this.#messages = 0;
  };

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

/** The part for readers. */
export interface WorkLeft {
  /** Readers count down. At zero or below they stop before the next record or frame. */
  left: number;
  /** The part that was spent on input that an honest peer sends rarely. */
  rare: number;
  /** Bytes at the end of the last piece that its reader did not take because the work was used up. They come again. */
  unread: number;
  /** Called before a message. With true, the reader stops before it. Default: every message is read at once. */
  holdsMessage?(): boolean;
}

export const unlimited = (): WorkLeft => ({left: Number.POSITIVE_INFINITY, rare: 0, unread: 0});

export class Work implements WorkLeft {
  left = UNITS_PER_TURN;
  rare = 0;
  unread = 0;
  readonly #turns: Turns;
  readonly #onMore: () => void;
  #isAsking = false;
  /** A message waits for another turn. */
  #holds = false;
  /** It is the turn of the message that waited: it is read, however many messages others have sent. */
  #isServed = false;
  /** Units spent since `rare` began to count. */
  #spent = 0;

  constructor(turns: Turns, onMore: () => void) {
    this.#turns = turns;
    this.#onMore = onMore;
  }

  holdsMessage(): boolean {
    this.#holds = !this.#isServed && !this.#turns.takeMessage();
    this.#isServed = false;
    return this.#holds;
  }

  /** Called after each chunk. */
  settle(): void {
    const isEnough = UNITS_PER_TURN - this.left < ASK_FROM && !this.#holds;
    if (isEnough || this.#isAsking) return;
    this.#isAsking = true;
    if (this.rare >= RARE_UNITS) this.#turns.askLater(this.#renew);
    else this.#turns.ask(this.#renew);
  }

  readonly #renew = (): void => {
    this.#isAsking = false;
    this.#isServed = this.#holds;
    this.#holds = false;
    this.#spent += UNITS_PER_TURN - this.left;
    this.left = UNITS_PER_TURN;
    if (this.#spent >= RARE_UNITS) {
      this.#spent = 0;
      this.rare = 0;
    }
    this.#onMore();
  };
}

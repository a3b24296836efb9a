// Bandwidth limits: how many bytes a second may pass, shared fairly by everything that wants to pass some. Nothing is dropped: a
// connection that has to wait is not read, or its peer gets no credit.

import type {Clock, Timer} from '../core/clock.js';
import {LinkedList, type ListNode} from '../core/linked-list.js';

/** The bytes that one direction of a connection may pass in a turn, on average. */
const QUANTUM_BYTES = 16 * 1024;
/** The time whose bytes may pass at once after a rest, s. A longer one would let more through than the limit says. */
const BURST_S = 0.05;
/** The time whose bytes are made up for when a timer comes late while others wait, s. */
const LATE_S = 0.5;
const LEAST_WAIT_MS = 2;
const MOST_WAIT_MS = 1_000;

export interface RateOptions {
  clock: Clock;
  /** The present limit; undefined: none. It may change at any time. */
  bytesPerSecond: () => number | undefined;
}

/** One limit: of the relay, of an owner, or of a tunnel. */
export class Rate {
  readonly #options: RateOptions;
  readonly #waiting = new LinkedList<Lane>();
  #timer: Timer | undefined;
  /** The bytes that may pass now. Negative: that many have passed too early, because a read cannot be divided. */
  #bytes = 0;
  #at: number;
  /** Turns are being given, so the queue may be empty for a moment. */
  #inTurns = false;

  constructor(options: RateOptions) {
    this.#options = options;
    this.#at = options.clock.now();
    this.#bytes = (options.bytesPerSecond() ?? 0) * BURST_S;
  }

  /** True when bytes may pass now. */
  get open(): boolean {
    return this.#refill() > 0;
  }

  /** True when others wait for their turn. */
  get busy(): boolean {
    return this.#waiting.size > 0;
  }

  /** Time until bytes may pass again, ms. */
  get waitMs(): number {
    const perSecond = this.#options.bytesPerSecond();
    return perSecond === undefined ? 0 : Math.max(0, (-this.#bytes / perSecond) * 1_000);
  }

  spend(bytes: number): void {
    this.#bytes -= bytes;
  }

  /** Puts the lane at the end of the queue, or at its beginning when its turn is not over. */
  wait(lane: Lane, isFirst: boolean): ListNode<Lane> {
    // With nobody waiting, only the small burst may have been saved up.
    this.#refill();
    const node = isFirst ? this.#waiting.pushFirst(lane) : this.#waiting.push(lane);
    this.#arm();
    return node;
  }

  leave(node: ListNode<Lane>): void {
    this.#waiting.delete(node);
    if (this.#waiting.size === 0) this.close();
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #refill(): number {
    const {clock, bytesPerSecond} = this.#options;
    const perSecond = bytesPerSecond();
    const now = clock.now();
    const passedS = (now - this.#at) / 1_000;
    this.#at = now;
    if (perSecond === undefined) {
      this.#bytes = 0;
      return Number.POSITIVE_INFINITY;
    }
    const most = perSecond * (this.busy || this.#inTurns ? LATE_S : BURST_S);
    this.#bytes = Math.min(Math.max(most, 1), this.#bytes + passedS * perSecond);
    return this.#bytes;
  }

  #arm(): void {
    if (this.#inTurns) return;
    const waitMs = Math.min(MOST_WAIT_MS, Math.max(LEAST_WAIT_MS, Math.ceil(this.waitMs)));
    this.#timer ??= this.#options.clock.after(waitMs, this.#turns);
  }

  readonly #turns = (): void => {
    this.#timer = undefined;
    this.#inTurns = true;
    while (this.open) {
      const first = this.#waiting.first;
      if (first === undefined) break;
      first.turn();
    }
    this.#inTurns = false;
    if (this.busy) this.#arm();
  };
}

/** One direction of one connection. All of its limits apply. */
export class Lane {
  readonly #rates: readonly Rate[];
  readonly #go: () => void;
  #queued: {rate: Rate; node: ListNode<Lane>} | undefined;
  /** The bytes that it may pass before others have their turn. A large piece makes it negative. */
  #share = 0;
  /** Bytes that were spent at its turn, and have not passed yet. */
  #prepaid = 0;
  #inTurn = false;
  /** Its turn was interrupted, because a limit was reached. */
  #isUnfinished = false;

  /** @param go passes bytes while `mayGoOn`, and asks again if there are more. */
  constructor(rates: readonly Rate[], go: () => void) {
    this.#rates = rates;
    this.#go = go;
  }

  /** True when bytes may pass without a turn. */
  get free(): boolean {
    return this.#queued === undefined && this.#rates.every((rate) => !rate.busy && rate.open);
  }

  /** True while it waits for its turn. */
  get waits(): boolean {
    return this.#queued !== undefined;
  }

  /** In `go`: true while more bytes may pass. */
  get mayGoOn(): boolean {
    return this.#share > 0 && this.#rates.every((rate) => rate.open);
  }

  /** Bytes pass. */
  spend(bytes: number): void {
    const rest = bytes - this.#prepaid;
    this.#prepaid = Math.max(0, -rest);
    this.#share = Math.max(this.#share - bytes, -16 * QUANTUM_BYTES);
    if (rest > 0) for (const rate of this.#rates) rate.spend(rest);
  }

  /** Spends bytes that are read a little later, so that not everybody is called for the same ones. */
  prepay(): void {
    const bytes = QUANTUM_BYTES - this.#prepaid;
    this.#prepaid = QUANTUM_BYTES;
    for (const rate of this.#rates) rate.spend(bytes);
  }

  /** Asks for a turn: `go` is called later. */
  ask(): void {
    if (this.#queued !== undefined) return;
    const rate = this.#rates.find((each) => each.busy || !each.open) ?? this.#rates[0];
    this.#isUnfinished = this.#inTurn && this.#share > 0;
    if (rate !== undefined) this.#queueAt(rate);
  }

  /** The connection is over. */
  end(): void {
    const {rate, node} = this.#queued ?? {};
    this.#queued = undefined;
    if (node !== undefined) rate?.leave(node);
    // Others may use the bytes that were spent and did not pass.
    if (this.#prepaid > 0) for (const each of this.#rates) each.spend(-this.#prepaid);
    this.#prepaid = 0;
  }

  /** @internal It is the first of a queue whose limit is open. */
  turn(): void {
    const {rate, node} = this.#queued ?? {};
    if (rate === undefined || node === undefined) return;
    this.#queued = undefined;
    rate.leave(node);
    const shut = this.#rates.find((each) => each !== rate && !each.open);
    if (shut !== undefined) {
      this.#queueAt(shut);
      return;
    }
    if (!this.#isUnfinished) this.#share = Math.min(this.#share, 0) + QUANTUM_BYTES;
    this.#isUnfinished = false;
    if (this.#share <= 0) {
      this.#queueAt(rate);
      return;
    }
    this.#inTurn = true;
    this.#go();
    this.#inTurn = false;
  }

  #queueAt(rate: Rate): void {
    this.#queued = {rate, node: rate.wait(this, this.#isUnfinished)};
  }
}

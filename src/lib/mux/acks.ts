// Decides when this side acknowledges received bytes, and how long the peer may take to acknowledge bytes of this side.

import type {Clock, Timer} from '../core/clock.js';
import {LIMITS} from '../protocol/wire.js';
import {STANDSTILL_MS} from './peer-watch.js';

/** The link is alive, replay holds as much as it may, and no ack came for this long: the peer breaks the protocol. */
export const ACK_DEADLINE_MS = 20_000;

export interface AcksOptions {
  clock: Clock;
  /** An ack should go out now. */
  onDue: () => void;
  /** The peer's time for an ack has passed. */
  onOverdue: () => void;
}

export class Acks {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  readonly #onOverdue: () => void;
  #received = 0;
  #told = 0;
  #held = false;
  #timer: Timer | undefined;
  #deadline: Timer | undefined;

  constructor(options: AcksOptions) {
    this.#clock = options.clock;
    this.#onDue = options.onDue;
    this.#onOverdue = options.onOverdue;
  }

  /** Session bytes received so far. */
  get received(): number {
    return this.#received;
  }

  /** Enough bytes were received to send an ack before the timer fires. */
  get pressing(): boolean {
    return !this.#held && this.#received - this.#told >= LIMITS.ackBytes;
  }

  count(bytes: number): void {
    this.#received += bytes;
  }

  /** A handshake told the peer this count. */
  told(count: number): void {
    this.#told = count;
  }

  /** No ack goes out until `release`: a hello has told the peer a count, and the handshake is not over. */
  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    if (this.#told < this.#received) this.later();
  }

  /** The count to send with the next record; undefined when the peer knows it already. */
  take(): number | undefined {
    if (this.#held || this.#told === this.#received) return undefined;
    this.#told = this.#received;
    return this.#received;
  }

  /** Sends an ack later: there is no hurry, but it must not wait for ever. */
  later(): void {
    this.#timer ??= this.#clock.after(LIMITS.ackDelayMs, () => {
      this.#timer = undefined;
      this.#onDue();
    });
  }

  /** Starts the time within which the peer must acknowledge something. */
  expect(): void {
    if (this.#deadline === undefined) this.#expectWithin(ACK_DEADLINE_MS);
  }

  #expectWithin(ms: number): void {
    const dueAt = this.#clock.now() + ms;
    this.#deadline = this.#clock.after(ms, () => {
      this.#deadline = undefined;
      // A process that was suspended has not read yet what came in that time.
      if (this.#clock.now() - dueAt > STANDSTILL_MS) this.#expectWithin(STANDSTILL_MS);
      else this.#onOverdue();
    });
  }

  /** Ends that time: the peer has acknowledged something, or cannot for now. */
  expectNothing(): void {
    this.#deadline?.cancel();
    this.#deadline = undefined;
  }

  end(): void {
    this.#timer?.cancel();
    this.expectNothing();
  }
}

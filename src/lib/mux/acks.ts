// What was received and has to be acknowledged in time, and how long the peer may take to acknowledge what it got.

import type {Clock, Timer} from '../core/clock.js';
import {LIMITS} from '../protocol/wire.js';
import {STANDSTILL_MS} from './peer-watch.js';

/** No ack for this long with the link alive and as much outstanding as is ever kept: the peer does not keep its side. */
export const ACK_DEADLINE_MS = 20_000;

export interface AcksOptions {
  clock: Clock;
  /** The peer should be told now. */
  onDue: () => void;
  /** The peer had its time. */
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

  /** So much was received that the peer should not wait for the timer. */
  get pressing(): boolean {
    return !this.#held && this.#received - this.#told >= LIMITS.ackBytes;
  }

  count(bytes: number): void {
    this.#received += bytes;
  }

  /** A handshake told the peer of so much. */
  told(count: number): void {
    this.#told = count;
  }

  /** Nothing is acknowledged until `release`: the peer is being told something else. */
  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    if (this.#told < this.#received) this.later();
  }

  /** What the peer is to be told with whatever goes out now; undefined when it knows. */
  take(): number | undefined {
    if (this.#held || this.#told === this.#received) return undefined;
    this.#told = this.#received;
    return this.#received;
  }

  /** Not pressing, but not for ever. */
  later(): void {
    this.#timer ??= this.#clock.after(LIMITS.ackDelayMs, () => {
      this.#timer = undefined;
      this.#onDue();
    });
  }

  /** The peer has to acknowledge something before long. */
  expect(): void {
    if (this.#deadline === undefined) this.#expectWithin(ACK_DEADLINE_MS);
  }

  #expectWithin(ms: number): void {
    const dueAt = this.#clock.now() + ms;
    this.#deadline = this.#clock.after(ms, () => {
      this.#deadline = undefined;
      // A process that stood still has not read yet what came meanwhile.
      if (this.#clock.now() - dueAt > STANDSTILL_MS) this.#expectWithin(STANDSTILL_MS);
      else this.#onOverdue();
    });
  }

  /** It has, or cannot for now. */
  expectNothing(): void {
    this.#deadline?.cancel();
    this.#deadline = undefined;
  }

  end(): void {
    this.#timer?.cancel();
    this.expectNothing();
  }
}

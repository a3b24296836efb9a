// Bounds what a peer can make this side owe it: answers, resets and credit that it provokes and does not read.

import type {Clock, Timer} from '../core/clock.js';
import {FRAME} from '../protocol/wire.js';
import {ACK_DEADLINE_MS} from './acks.js';
import type {Link} from './link.js';

/** With more than this waiting nothing is read from the peer: it can provoke no more. */
const MAX_BYTES = 32 * 1024 * 1024;

/** Whether a frame answers the peer's own. A visitor's OPEN, data and FIN are not the peer's doing. */
export function isProvoked(type: number): boolean {
  return type !== FRAME.open && type !== FRAME.data && type !== FRAME.fin;
}

export interface ProvokedOptions {
  clock: Clock;
  /** Nothing was acknowledged for ACK_DEADLINE_MS while so much waited. */
  onNotReading: () => void;
}

export class Provoked {
  readonly #clock: Clock;
  readonly #onNotReading: () => void;
  #bytes = 0;
  #link: Link | undefined;
  /** When the peer acknowledged something last, or its link began. */
  #ackedAt = 0;
  /** While it runs the link is not read. */
  #timer: Timer | undefined;

  constructor(options: ProvokedOptions) {
    this.#clock = options.clock;
    this.#onNotReading = options.onNotReading;
  }

  attach(link: Link): void {
    this.#link = link;
    this.acknowledged();
    this.#limit();
  }

  detach(): void {
    this.#link = undefined;
    this.#stop();
  }

  end(): void {
    this.detach();
  }

  acknowledged(): void {
    this.#ackedAt = this.#clock.now();
  }

  /** So many bytes more wait. */
  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > MAX_BYTES) this.#limit();
  }

  /** So many wait now: the rest is on its way, or need not be sent. */
  fellTo(bytes: number): void {
    this.#bytes = bytes;
    if (bytes > MAX_BYTES || this.#timer === undefined) return;
    this.#stop();
    this.#link?.readOn();
  }

  #limit(): void {
    if (this.#bytes <= MAX_BYTES || this.#timer !== undefined || this.#link === undefined) return;
    this.#link.holdReading();
    this.#watch();
  }

  #watch(): void {
    const leftMs = Math.max(0, this.#ackedAt + ACK_DEADLINE_MS - this.#clock.now());
    this.#timer = this.#clock.after(leftMs, () => {
      this.#timer = undefined;
      if (this.#clock.now() - this.#ackedAt < ACK_DEADLINE_MS) this.#watch();
      else this.#onNotReading();
    });
  }

  #stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}

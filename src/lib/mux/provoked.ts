// Limits the answers, resets and credit that a peer provokes and does not read.

import type {Clock, Timer} from '../core/clock.js';
import {FRAME} from '../protocol/wire.js';
import {ACK_DEADLINE_MS} from './acks.js';
import type {Link} from './link.js';

/** With more than this waiting, the peer is not read, so it cannot provoke more. */
const MAX_BYTES = 32 * 1024 * 1024;

/** True for frames that answer frames of the peer. The peer does not cause a visitor's OPEN, data and FIN. */
export function isProvoked(type: number): boolean {
  return type !== FRAME.open && type !== FRAME.data && type !== FRAME.fin;
}

export interface ProvokedOptions {
  clock: Clock;
  /** The peer acknowledged nothing for ACK_DEADLINE_MS although that much waited. */
  onNotReading: () => void;
}

export class Provoked {
  readonly #clock: Clock;
  readonly #onNotReading: () => void;
  #bytes = 0;
  #link: Link | undefined;
  /** The time of the peer's last ack, or of the start of its link. */
  #ackedAt = 0;
  /** The link is not read while this timer runs. */
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

  /** Counts more waiting bytes. */
  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > MAX_BYTES) this.#limit();
  }

  /** Only this many bytes still wait: the others were sent or dropped. */
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

// Tells of refused look-ups and connections, at a rate that a program cannot drive up.

import {Seldom} from '../core/seldom.js';
import type {RefusalReason} from './policy.js';

export interface Refusal {
  /** The name, or the address where no name is known. */
  readonly host: string;
  /** Undefined for a look-up. */
  readonly port: number | undefined;
  readonly why: RefusalReason;
  /** Refusals since the last event that got none of their own. */
  readonly untold: number;
}

const RATE = {burst: 20, perSecond: 5};

export class Refusals {
  readonly #onRefused: (refusal: Refusal) => void;
  readonly #seldom = new Seldom(RATE);
  #untold = 0;

  constructor(onRefused: (refusal: Refusal) => void) {
    this.#onRefused = onRefused;
  }

  tell(host: string, port: number | undefined, why: RefusalReason, now?: number): void {
    if (!this.#seldom.mayTell(`${host}:${port ?? ''} ${why}`, now)) {
      this.#untold += 1;
      return;
    }
    const untold = this.#untold;
    this.#untold = 0;
    this.#onRefused({host, port, why, untold});
  }
}

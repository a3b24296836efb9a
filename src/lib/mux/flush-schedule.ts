// Decides when written frames are sent: at once while little happens, with the rest of a turn's input when much happens.

import type {Clock} from '../core/clock.js';
import {FRAME, type FrameType} from '../protocol/wire.js';

/** A load of a global is a look-up in each call, and this one is called for each frame. */
const {queueMicrotask} = globalThis;

/** From the latest to the earliest. */
const NEVER = 0;
/** A turn of the event loop later than `THIS_TURN`, so that frames which follow soon go with it. */
export const NEXT_TURN = 1;
export const THIS_TURN = 2;
export const AT_ONCE = 3;
export type When = typeof NEXT_TURN | typeof THIS_TURN | typeof AT_ONCE;

/**
 * After these frames more usually follows in the next turn: a new connection's first bytes, an upstream's answer, the other
 * end.
 */
const LINGERING: ReadonlySet<FrameType> = new Set([FRAME.open, FRAME.opened, FRAME.fin]);

/** After more frames than this in the last flush, it is worth waiting for the rest of a turn's input. */
const FEW_FRAMES = 2;

export function whenFor(type: FrameType): When {
  return LINGERING.has(type) ? NEXT_TURN : AT_ONCE;
}

export class FlushSchedule {
  readonly #clock: Clock;
  readonly #flush: () => void;
  readonly #isBusy: () => boolean;
  /** When the next flush is due at the latest. */
  #due: When | typeof NEVER = NEVER;
  #frames = 0;
  #framesBefore = 0;

  /**
   * @param isBusy true while the carrier has not finished its last write. A flush would only queue behind that, and each frame
   * that comes meanwhile would have a flush, a record and a piece of its own.
   */
  constructor(clock: Clock, flush: () => void, isBusy: () => boolean) {
    this.#clock = clock;
    this.#flush = flush;
    this.#isBusy = isBusy;
  }

  /** A frame was written. */
  wrote(when: When): void {
    this.#frames += 1;
    this.flush(when);
  }

  flush(when: When): void {
    if (when <= this.#due) return;
    this.#due = when;
    if (when === AT_ONCE && this.#framesBefore <= FEW_FRAMES && !this.#isBusy()) queueMicrotask(this.#onDue);
    else if (when === NEXT_TURN) this.#clock.soon(() => this.#clock.soon(this.#onDue));
    else this.#clock.soon(this.#onDue);
  }

  /** A flush has begun, by this schedule or not. */
  begun(): void {
    this.#due = NEVER;
    this.#framesBefore = this.#frames;
    this.#frames = 0;
  }

  readonly #onDue = (): void => {
    // Otherwise an earlier flush has sent everything.
    if (this.#due !== NEVER) this.#flush();
  };
}

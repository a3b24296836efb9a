// The faults of one direction of a fault proxy: shared by all its connections, changed while they run.
import type {FaultPump} from './fault-pump.js';

/** `up`: from the side that connected to the target. */
export type Direction = 'up' | 'down';

export const directions = ['up', 'down'] as const satisfies readonly Direction[];

interface Cut {
  left: number;
  onCut: (carriedBy: FaultPump) => void;
}

/** The bytes that a rate-limited direction may send in one go, as the amount of a part of a second. */
const burstSeconds = 0.02;

export class DirectionPlan {
  #delayMs = 0;
  #silence: 'hold' | 'drop' | undefined;
  #rate: number | undefined;
  #tokens = 0;
  #filledAtMs = 0;
  readonly #cuts: Cut[] = [];

  get delayMs(): number {
    return this.#delayMs;
  }

  get silent(): 'hold' | 'drop' | undefined {
    return this.#silence;
  }

  setDelay(ms: number): void {
    this.#delayMs = ms;
  }

  setRate(bytesPerSecond: number | undefined): void {
    this.#rate = bytesPerSecond;
    this.#tokens = 0;
    this.#filledAtMs = performance.now();
  }

  silence(kind: 'hold' | 'drop' | undefined): void {
    this.#silence = kind;
  }

  cutAfter(bytes: number, onCut: Cut['onCut']): void {
    this.#cuts.push({left: bytes, onCut});
    this.#cuts.sort((a, b) => a.left - b.left);
  }

  /** How many of `wanted` bytes may go now; 0 with the wait in ms when the rate does not allow any. */
  allow(wanted: number): {bytes: number; waitMs: number} {
    let bytes = wanted;
    const cut = this.#cuts[0];
    if (cut !== undefined) bytes = Math.min(bytes, cut.left);
    if (this.#rate === undefined || bytes === 0) return {bytes, waitMs: 0};
    const now = performance.now();
    const burst = Math.max(1, this.#rate * burstSeconds);
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#filledAtMs) / 1000) * this.#rate);
    this.#filledAtMs = now;
    // At least half a burst: sending a few bytes at a time would keep the process busy.
    const enough = Math.max(1, Math.min(bytes, burst / 2));
    if (this.#tokens >= enough) return {bytes: Math.min(bytes, Math.floor(this.#tokens)), waitMs: 0};
    return {bytes: 0, waitMs: Math.max(1, ((enough - this.#tokens) / this.#rate) * 1000)};
  }

  /** Counts sent bytes. Returns the cut that is due now: the pump makes it when the last byte has left. */
  spent(bytes: number): ((carriedBy: FaultPump) => void) | undefined {
    if (this.#rate !== undefined) this.#tokens -= bytes;
    for (const cut of this.#cuts) cut.left -= bytes;
    const first = this.#cuts[0];
    if (first === undefined || first.left > 0) return undefined;
    this.#cuts.shift();
    return first.onCut;
  }
}

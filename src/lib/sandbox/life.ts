// How long a sandbox may live: a hard limit, and a limit without activity. It decides when the time is over, and keeps what
// people ask afterwards: why it still runs.

import type {Clock, Timer} from '../core/clock.js';
import {TunlError} from '../core/errors.js';

export type ActivitySource = 'exec' | 'stdin' | 'traffic' | 'extend' | 'start';

export interface Activity {
  readonly source: ActivitySource;
  /** ms since 1970. */
  readonly at: number;
}

export interface LifeOptions {
  readonly clock: Clock;
  /** The time of day, ms since 1970. */
  readonly wall: () => number;
  /** 0: no limit. */
  readonly timeoutMs: number;
  /** Undefined or 0: no limit. */
  readonly idleTimeoutMs: number | undefined;
  /** True while something runs that counts as activity the whole time. */
  readonly isBusy: () => boolean;
  /** Looks for traffic since the last look, and reports it by `active`. */
  readonly look: () => void;
  readonly onOver: (reason: 'timeout' | 'idle') => void;
}

/** Ten years: a longer life is a mistake, and dates still work. */
const LONGEST_MS = 3650 * 86_400_000;
/** How often traffic is looked for, ms. */
const LOOK_EVERY_MS = 15_000;
const LOOK_AT_LEAST_MS = 250;

export class Life {
  readonly #options: LifeOptions;
  /** By the clock. Undefined: no limit, or not begun. */
  #deadline: number | undefined;
  #timeout: Timer | undefined;
  #lookTimer: Timer | undefined;
  #activity: (Activity & {readonly since: number}) | undefined;
  #isOver = false;

  constructor(options: LifeOptions) {
    this.#options = options;
  }

  begin(): void {
    const {clock, timeoutMs} = this.#options;
    this.active('start');
    if (timeoutMs > 0) this.#deadline = clock.now() + timeoutMs;
    this.#setTimeout();
    this.#lookLater();
  }

  /** ms since 1970. Undefined: it has no end, or has not begun. */
  get stopsAt(): number | undefined {
    if (this.#deadline === undefined) return undefined;
    const {clock, wall} = this.#options;
    return Math.round(wall() + this.#deadline - clock.now());
  }

  get activity(): Activity | undefined {
    if (!this.#isOver && this.#options.isBusy()) return {source: 'exec', at: this.#options.wall()};
    return this.#activity && {source: this.#activity.source, at: this.#activity.at};
  }

  active(source: ActivitySource): void {
    const {clock, wall} = this.#options;
    this.#activity = {source, at: wall(), since: clock.now()};
  }

  /** Adds to the remaining life. @throws TunlError OPTION_INVALID */
  extend(ms: number): number | undefined {
    if (!Number.isFinite(ms) || ms <= 0 || ms > LONGEST_MS) {
      throw new TunlError('OPTION_INVALID', {
        reason: `A sandbox can be extended by more than 0 ms and at most ten years, not by ${ms}.`,
      });
    }
    this.active('extend');
    if (this.#deadline !== undefined) {
      const {clock} = this.#options;
      this.#deadline = Math.min(this.#deadline + ms, clock.now() + LONGEST_MS);
      this.#setTimeout();
    }
    return this.stopsAt;
  }

  end(): void {
    this.#isOver = true;
    this.#timeout?.cancel();
    this.#lookTimer?.cancel();
  }

  #setTimeout(): void {
    this.#timeout?.cancel();
    if (this.#isOver || this.#deadline === undefined) return;
    const {clock} = this.#options;
    this.#timeout = clock.after(Math.max(0, this.#deadline - clock.now()), () => this.#over('timeout'));
  }

  #lookLater(): void {
    if (this.#isOver) return;
    const {clock, idleTimeoutMs: idleMs} = this.#options;
    const everyMs = idleMs ? Math.min(LOOK_EVERY_MS, Math.max(LOOK_AT_LEAST_MS, idleMs / 4)) : LOOK_EVERY_MS;
    const leftMs = idleMs ? this.#idleAt(idleMs) - clock.now() : everyMs;
    this.#lookTimer = clock.after(Math.max(0, Math.min(everyMs, leftMs)), () => {
      const {isBusy, look} = this.#options;
      look();
      if (isBusy()) this.active('exec');
      if (idleMs && clock.now() >= this.#idleAt(idleMs)) this.#over('idle');
      else this.#lookLater();
    });
  }

  #idleAt(idleMs: number): number {
    return (this.#activity?.since ?? 0) + idleMs;
  }

  #over(reason: 'timeout' | 'idle'): void {
    if (this.#isOver) return;
    this.end();
    this.#options.onOver(reason);
  }
}

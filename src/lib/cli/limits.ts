// Ends a tunnel after a given time, or after a time without visitors.

import {NOTHING_YET, type Visitors} from './tunnel-state.js';

export type LimitReason = 'expired' | 'idle';

export interface LimitOptions {
  expiresMs?: number | undefined;
  idleMs?: number | undefined;
}

/** Node fires a longer timer at once, so longer waits are cut into pieces. */
const LONGEST_TIMER_MS = 2 ** 30;

/** How often the time of day is looked at: timers stand still while the machine sleeps. */
const LOOK_EVERY_MS = 60_000;

/** `begin` starts the limits, disposal stops them. `onEnd` is called at most once. */
export class Limits implements Disposable {
  readonly #options: LimitOptions;
  #onEnd: ((reason: LimitReason) => void) | undefined;
  #expiry: NodeJS.Timeout | undefined;
  #idle: NodeJS.Timeout | undefined;
  #visitors: Visitors = NOTHING_YET.visitors;
  #expiresAt: number | undefined;

  constructor(options: LimitOptions) {
    this.#options = options;
  }

  begin(onEnd: (reason: LimitReason) => void): void {
    this.#onEnd = onEnd;
    const {expiresMs} = this.#options;
    if (expiresMs !== undefined) this.extend(expiresMs);
    this.#waitForVisitors();
  }

  /** Sets the end to this time from now. Has no effect after the end. */
  extend(expiresMs: number): void {
    clearTimeout(this.#expiry);
    if (this.#onEnd === undefined) return;
    this.#expiresAt = Date.now() + expiresMs;
    this.#waitForExpiry(this.#expiresAt, expiresMs);
  }

  /** When a tunnel that is ready now will end, ISO 8601. */
  get expiresAt(): string | undefined {
    const {expiresMs} = this.#options;
    const at = this.#expiresAt ?? (expiresMs === undefined ? undefined : Date.now() + expiresMs);
    return at === undefined ? undefined : new Date(at).toISOString();
  }

  /** Called after every event. The idle time starts again when a visitor came or left. */
  see(visitors: Visitors): void {
    if (visitors === this.#visitors) return;
    this.#visitors = visitors;
    this.#waitForVisitors();
  }

  [Symbol.dispose](): void {
    this.#onEnd = undefined;
    clearTimeout(this.#expiry);
    clearTimeout(this.#idle);
  }

  /** @param leftMs what is left in any case: a clock that is set back must not make it more */
  #waitForExpiry(at: number, leftMs: number): void {
    const waitMs = Math.min(leftMs, at - Date.now(), LOOK_EVERY_MS);
    if (waitMs <= 0) this.#end('expired');
    else this.#expiry = setTimeout(() => this.#waitForExpiry(at, leftMs - waitMs), waitMs);
  }

  #waitForVisitors(): void {
    const {idleMs} = this.#options;
    if (idleMs === undefined || this.#onEnd === undefined) return;
    clearTimeout(this.#idle);
    if (this.#visitors.open > 0) return;
    later(
      idleMs,
      (timer) => (this.#idle = timer),
      () => this.#end('idle'),
    );
  }

  #end(reason: LimitReason): void {
    const onEnd = this.#onEnd;
    this[Symbol.dispose]();
    onEnd?.(reason);
  }
}

function later(ms: number, keep: (timer: NodeJS.Timeout) => void, fn: () => void): void {
  if (ms <= LONGEST_TIMER_MS) keep(setTimeout(fn, ms));
  else keep(setTimeout(() => later(ms - LONGEST_TIMER_MS, keep, fn), LONGEST_TIMER_MS));
}

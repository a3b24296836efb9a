// Tunnels that this agent had and that the relay refuses for now: the times of the next requests, and the reports.

import {Backoff} from '../core/backoff.js';
import type {Clock, Timer} from '../core/clock.js';
import type {TunlError} from '../core/errors.js';

export interface RebindEvents {
  /** The relay refuses a tunnel because of `error`; the next request follows after `delayMs`. */
  onRefused(error: TunlError, attempt: number, delayMs: number): void;
  /** No tunnel is refused any more: all are bound again, or no longer wanted. */
  onBoundAgain(awayMs: number): void;
}

export interface RebindsOptions extends RebindEvents {
  clock: Clock;
  /** A tunnel that is refused for longer than this is given up, ms. */
  mostAwayMs: number;
}

export class Rebinds<Tunnel> {
  readonly #options: RebindsOptions;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  /** Refused tunnels with the timer of the next request; undefined while the relay has to answer. */
  readonly #refused = new Map<Tunnel, Timer | undefined>();
  /** The time since which a tunnel is refused, across sessions. Undefined: all requested tunnels are bound. */
  #since: number | undefined;
  #attempt = 0;

  constructor(options: RebindsOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#backoff = new Backoff({clock: options.clock});
  }

  /** Asks for `tunnel` again later. Returns false when the time limit has passed. */
  refused(tunnel: Tunnel, error: TunlError, ask: () => void): boolean {
    const now = this.#clock.now();
    if (this.#since === undefined) {
      this.#since = now;
      this.#attempt = 0;
    }
    const leftMs = this.#since + this.#options.mostAwayMs - now;
    if (leftMs <= 0) return false;
    const delayMs = Math.min(this.#backoff.next({atLeastMs: error.retryAfterMs}), leftMs);
    this.#refused.get(tunnel)?.cancel();
    const timer = this.#clock.after(delayMs, () => {
      this.#refused.set(tunnel, undefined);
      ask();
    });
    this.#refused.set(tunnel, timer);
    this.#attempt += 1;
    this.#options.onRefused(error, this.#attempt, delayMs);
    return true;
  }

  bound(tunnel: Tunnel): void {
    const wasRefused = this.#refused.delete(tunnel);
    if (this.#refused.size > 0) return;
    const since = this.#since;
    this.#since = undefined;
    if (!wasRefused || since === undefined) return;
    this.#backoff.succeeded();
    this.#options.onBoundAgain(this.#clock.now() - since);
  }

  /** `tunnel` is no longer wanted. */
  drop(tunnel: Tunnel): void {
    this.#refused.get(tunnel)?.cancel();
    this.bound(tunnel);
  }

  /** Stops all requests: a new session asks for everything, or the tunnels have ended. */
  clear(): void {
    for (const timer of this.#refused.values()) timer?.cancel();
    this.#refused.clear();
  }
}

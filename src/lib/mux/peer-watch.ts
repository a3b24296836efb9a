// Watches whether the peer of a link is still there: after some silence it pings, and after more silence the peer counts as
// dead.

import type {Clock, Timer} from '../core/clock.js';

/** A timer that fires this much late means that the whole process was stopped (sleep, SIGSTOP), not that the peer is gone. */
export const STANDSTILL_MS = 2_000;

export interface PeerWatchOptions {
  clock: Clock;
  /** Ping after this much silence, ms. */
  pingAfterMs: number;
  /** Dead after this much silence, ms. */
  deadAfterMs: number;
  ping: () => void;
  /** Called at most once; no other callback follows. */
  onDead: (silentMs: number) => void;
}

export class PeerWatch {
  readonly #clock: Clock;
  readonly #options: PeerWatchOptions;
  #heardAt: number;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(options: PeerWatchOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#heardAt = this.#clock.now();
  }

  start(): void {
    this.#options.ping();
    this.#look(this.#options.pingAfterMs);
  }

  /** Stops for ever. Idempotent. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** The peer has sent something. */
  heard(): void {
    this.#heardAt = this.#clock.now();
  }

  /** An answer is due within `withinMs`: silence until then is death. */
  probe(withinMs: number): void {
    this.#options.ping();
    this.#look(withinMs, true);
  }

  /** Checks after `ms` whether anything came. `last`: silence until then means that the peer is dead. */
  #look(ms: number, last = false): void {
    this.#timer?.cancel();
    // The ping before this may have ended the carrier.
    if (this.#stopped) return;
    const setAt = this.#clock.now();
    this.#timer = this.#clock.after(ms, () => {
      const now = this.#clock.now();
      if (now - (setAt + ms) > STANDSTILL_MS) this.probe(STANDSTILL_MS);
      else this.#judge(now - this.#heardAt, last && this.#heardAt < setAt);
    });
  }

  #judge(silentMs: number, unanswered: boolean): void {
    const {pingAfterMs, deadAfterMs, ping, onDead} = this.#options;
    if (unanswered || silentMs >= deadAfterMs) {
      this.stop();
      onDead(silentMs);
    } else if (silentMs < pingAfterMs) {
      this.#look(pingAfterMs - silentMs);
    } else {
      ping();
      this.#look(Math.min(pingAfterMs, deadAfterMs - silentMs));
    }
  }
}

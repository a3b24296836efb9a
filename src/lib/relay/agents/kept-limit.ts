// Limits the memory that the relay keeps for sessions without a link. When the budget is full, the sessions that have had no
// link for the longest time are ended first.

import type {Clock, Timer} from '../../core/clock.js';
import {TunlError} from '../../core/errors.js';
import type {Logger} from '../../core/logger.js';
import {REPLAY_SHARE, type ReplayBudget} from '../../mux/replay-budget.js';
import type {Session} from '../../mux/session.js';

const LOOK_EVERY_MS = 1_000;
/** Sessions are ended until this share of the budget is free. */
const LEAVE = 3 / 4;

export type KeptSession = Pick<Session, 'detachedAt' | 'queuedBytes' | 'destroy'>;

export interface KeptLimitOptions {
  budget: ReplayBudget;
  sessions: () => Iterable<KeptSession>;
  clock: Clock;
  log: Logger;
}

export class KeptLimit {
  readonly #options: KeptLimitOptions;
  #timer: Timer | undefined;

  constructor(options: KeptLimitOptions) {
    this.#options = options;
    this.#lookLater();
  }

  close(): void {
    this.#timer?.cancel();
  }

  #lookLater(): void {
    this.#timer = this.#options.clock.after(LOOK_EVERY_MS, () => {
      if (this.#options.budget.spent) this.#giveUp();
      this.#lookLater();
    });
  }

  #giveUp(): void {
    const {budget, sessions, log} = this.#options;
    const enough = budget.limitBytes * LEAVE;
    const away = [...sessions()]
      // Each session may keep its share in any case, so ending a session below it would free nothing for others.
      .filter(({detachedAt, queuedBytes}) => detachedAt !== undefined && queuedBytes > REPLAY_SHARE)
      .sort((a, b) => (a.detachedAt ?? 0) - (b.detachedAt ?? 0));
    let given = 0;
    for (const session of away) {
      if (budget.usedBytes <= enough) break;
      given += 1;
      session.destroy(
        new TunlError('RESUME_EXPIRED', {reason: 'There was no link, and others need the memory.'}),
      );
    }
    if (given > 0)
      log.warn('sessions without a link were ended: they used too much memory', {
        sessions: given,
        limitBytes: budget.limitBytes,
      });
  }
}

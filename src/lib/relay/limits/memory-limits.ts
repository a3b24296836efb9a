// The memory for the bytes of all streams and sessions of this process together. Each worker has its share.

import {totalmem} from 'node:os';
import {defaultUnreadLimit, UnreadLimit} from '../../bytes/unread-limit.js';
import type {Clock} from '../../core/clock.js';
import type {Logger} from '../../core/logger.js';
import {ReplayBudget} from '../../mux/replay-budget.js';
import {WindowBudget} from '../../mux/window-budget.js';
import type {Part} from '../part.js';
import type {RelaySettings} from '../settings.js';

/** The replay budget of a relay: enough for 32 sessions that lost a busy link, and a share for all others. */
const REPLAY_BUDGET_BYTES = 512 * 1024 * 1024;

type Settings = Pick<RelaySettings, 'maxUnreadBytes'>;

export interface MemoryLimitsOptions {
  settings: Settings;
  /** The part of the relay's memory that this process has. */
  share: number;
  clock: Clock;
  log: Logger;
}

export class MemoryLimits implements Part {
  /** Windows may grow by at most as many bytes as may be unread. */
  readonly windows: WindowBudget;
  readonly replay: ReplayBudget;
  readonly unread: UnreadLimit;
  readonly #share: number;

  constructor({settings, share, clock, log}: MemoryLimitsOptions) {
    this.#share = share;
    const limitBytes = this.#limitBytes(settings);
    this.windows = new WindowBudget(limitBytes);
    this.replay = new ReplayBudget(REPLAY_BUDGET_BYTES * share);
    this.unread = new UnreadLimit({clock, log, limitBytes});
  }

  reload(settings: Settings): void {
    this.unread.setLimit(this.#limitBytes(settings));
    this.windows.setLimit(this.#limitBytes(settings));
  }

  close(): void {
    this.unread.close();
  }

  #limitBytes({maxUnreadBytes}: Settings): number {
    return Math.floor((maxUnreadBytes ?? defaultUnreadLimit(totalmem())) * this.#share);
  }
}

// Visitors whose bytes are not read yet, because their agent's link is lost or slow. A socket that is not read does not report
// its end, so they are checked once a second. They are reset when the link is lost for too long.

import type {Splice} from '../../bytes/splice.js';
import type {Clock, Timer} from '../../core/clock.js';
import type {Session} from '../../mux/session.js';
import type {Part} from '../part.js';
import type {RelaySettings} from '../settings.js';

const LOOK_EVERY_MS = 1_000;

export interface WaitingVisitorsOptions {
  clock: Clock;
  /** How long a visitor waits for a lost link, ms. */
  waitMs: number;
}

interface Waiting {
  splice: Pick<Splice, 'hasBegun' | 'done' | 'probe' | 'cut'>;
  session: Pick<Session, 'detachedAt'>;
  since: number;
}

export class WaitingVisitors implements Part {
  #options: WaitingVisitorsOptions;
  readonly #all = new Set<Waiting>();
  #timer: Timer | undefined;

  constructor(options: WaitingVisitorsOptions) {
    this.#options = options;
  }

  /** Has no effect for a visitor whose bytes already flow. */
  add(splice: Waiting['splice'], session: Waiting['session']): void {
    if (splice.hasBegun || splice.done) return;
    this.#all.add({splice, session, since: this.#options.clock.now()});
    this.#timer ??= this.#options.clock.after(LOOK_EVERY_MS, () => this.#look());
  }

  /** For those that wait already, too. */
  reload({visitorWaitMs: waitMs}: Pick<RelaySettings, 'visitorWaitMs'>): void {
    this.#options = {...this.#options, waitMs};
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#all.clear();
  }

  #look(): void {
    const {clock, waitMs} = this.#options;
    const now = clock.now();
    for (const waiting of this.#all) {
      const {splice, session, since} = waiting;
      const away = session.detachedAt;
      if (splice.hasBegun || splice.done) this.#all.delete(waiting);
      else if (away !== undefined && now - Math.max(since, away) >= waitMs) splice.cut('CANCELLED');
      else splice.probe();
    }
    this.#timer = this.#all.size === 0 ? undefined : clock.after(LOOK_EVERY_MS, () => this.#look());
  }
}

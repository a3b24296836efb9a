// Whether the current link has proved that it works: then its loss does not make the next wait longer.

import type {Clock} from '../core/clock.js';
import type {Session} from '../mux/session.js';

/** A resumed link that held for this long counts as proved, also when nothing was sent, ms. */
const HELD_MS = 5_000;

export class LinkTrial {
  readonly #clock: Clock;
  #from: {session: Session; ackedBytes: number; at: number} | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * A link is attached. The link of a new session proves nothing: a relay that begins sessions and breaks them needs longer
   * waits.
   */
  begin(session: Session, isResumed: boolean): void {
    const {ackedBytes} = session;
    this.#from = isResumed ? {session, ackedBytes, at: this.#clock.now()} : undefined;
  }

  /** The link of `session` broke. Returns whether it carried something, or lasted for a while. */
  end(session: Session): boolean {
    const from = this.#from;
    this.#from = undefined;
    if (from?.session !== session) return false;
    return session.ackedBytes > from.ackedBytes || this.#clock.now() - from.at >= HELD_MS;
  }
}

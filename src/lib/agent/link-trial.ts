// Whether the link of the moment has shown that it carries: then its loss is no reason to wait longer for the next one.

import type {Clock} from '../core/clock.js';
import type {Session} from '../mux/session.js';

/** A resumed link that held for so long counts as one that carries, also where nothing was sent. */
const HELD_MS = 5_000;

export class LinkTrial {
  readonly #clock: Clock;
  #from: {session: Session; ackedBytes: number; at: number} | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A link is attached. One of a new session proves nothing: a relay that begins sessions and breaks them has to be spared. */
  begin(session: Session, isResumed: boolean): void {
    const {ackedBytes} = session;
    this.#from = isResumed ? {session, ackedBytes, at: this.#clock.now()} : undefined;
  }

  /** The link of `session` broke. Returns whether it had carried something, or held for a while. */
  end(session: Session): boolean {
    const from = this.#from;
    this.#from = undefined;
    if (from?.session !== session) return false;
    return session.ackedBytes > from.ackedBytes || this.#clock.now() - from.at >= HELD_MS;
  }
}

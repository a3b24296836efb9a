// Counts the requests of each user that are not answered yet: one user must not hold all connections of the hub.

import type {HubUser} from '../users.js';
import {HttpProblem} from './problem.js';

/** Each session of a larger quota may be waited for too. */
const MOST_AT_ONCE = 32;

export class AtOnce {
  readonly #counts = new Map<string, number>();

  /** Until its disposal. @throws HttpProblem 429 */
  enter({id, quota}: HubUser): Disposable {
    const count = this.#counts.get(id) ?? 0;
    if (count >= Math.max(MOST_AT_ONCE, quota))
      throw new HttpProblem(429, 'HUB_QUOTA', 'Too many requests of this user are open.');
    this.#counts.set(id, count + 1);
    return {[Symbol.dispose]: () => this.#leave(id)};
  }

  #leave(id: string): void {
    const count = (this.#counts.get(id) ?? 1) - 1;
    if (count > 0) this.#counts.set(id, count);
    else this.#counts.delete(id);
  }
}

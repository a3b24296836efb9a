// How many visitors the relay, each owner, tunnel and address has. No entry stays when a count is zero: names come from
// strangers. An open visitor holds its counts, so it looks nothing up when it leaves.

import type {CountRow} from './counts-of-workers.js';
import type {LimitedBy} from './limit-names.js';

/** `egress`: an owner's connections that leave the relay. They are no visitors, and are counted in the same way. */
type Counted = LimitedBy | 'egress';

export interface VisitorCount {
  readonly by: Counted;
  readonly name: string;
  /** In this process. */
  here: number;
}

export class VisitorCounts {
  /** One map for each kind of name, so that no key must be joined from two texts for each visitor. */
  readonly #here: Readonly<Record<Counted, Map<string, VisitorCount>>> = {
    relay: new Map(),
    owner: new Map(),
    tunnel: new Map(),
    address: new Map(),
    egress: new Map(),
  };
  #elsewhere: ReadonlyMap<string, number> = new Map();

  /** The count in all processes of this relay, as far as they have told. */
  of(by: Counted, name: string): number {
    const here = this.#here[by].get(name)?.here ?? 0;
    return this.#elsewhere.size === 0 ? here : here + (this.#elsewhere.get(rowName(by, name)) ?? 0);
  }

  /** Counts one more. Returns the handle for `leave`. */
  enter(by: Counted, name: string): VisitorCount {
    let count = this.#here[by].get(name);
    if (count === undefined) {
      count = {by, name, here: 0};
      this.#here[by].set(name, count);
    }
    count.here += 1;
    return count;
  }

  leave(count: VisitorCount): void {
    count.here -= 1;
    if (count.here === 0) this.#here[count.by].delete(count.name);
  }

  /** The counts of this process that are worth telling: `least` and more. */
  *here(least: number): Generator<CountRow> {
    for (const all of Object.values(this.#here)) {
      for (const {by, name, here} of all.values()) if (here >= least) yield [rowName(by, name), here];
    }
  }

  /** The counts in the other processes. */
  setElsewhere(counts: Iterable<CountRow>): void {
    this.#elsewhere = new Map(counts);
  }
}

/** Its name in messages between processes. */
const rowName = (by: Counted, name: string): string => `${by} ${name}`;

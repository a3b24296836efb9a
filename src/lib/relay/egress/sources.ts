// The addresses that streams by egress leave from: which one is next, and how many streams each has.

import type {EgressOpen} from '../../protocol/egress-messages.js';
import {Counts} from '../limits/counts.js';
import {leastUsedSource, steadySource} from './choose-source.js';
import {type EgressSet, familyOf} from './egress-set.js';

export class Sources {
  readonly #isHealthy: (address: string) => boolean;
  readonly #used = new Counts();
  #turn = 0;

  constructor(isHealthy: (address: string) => boolean) {
    this.#isHealthy = isHealthy;
  }

  /** Undefined: no address of this family can be used now. @param set undefined: it is gone @param who the same one always gets the same address for a host */
  choose(
    set: EgressSet | undefined,
    family: 4 | 6,
    {spread, host}: EgressOpen,
    who: string,
  ): string | undefined {
    if (set === undefined) return undefined;
    const {name, addresses} = set;
    const usable = addresses.filter((each) => familyOf(each) === family && this.#isHealthy(each));
    if (!spread) return steadySource(usable, {egress: name, who, host});
    this.#turn += 1;
    return leastUsedSource(usable, (address) => this.#used.of(address), this.#turn);
  }

  /** A socket has this address, or has no longer. */
  count(source: string, change: 1 | -1): void {
    this.#used.add(source, change);
  }
}

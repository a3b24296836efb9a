// The addresses that the relay's own name has: those of this machine, or of a forwarder in front of it. A connection to one of them
// comes back.

import {atMost, type Clock} from '../../core/clock.js';
import {isLocalhostName} from '../../core/localhost.js';
import {plainAddress} from '../../net/host-name.js';
import type {Resolver} from '../../net/name-lookup.js';

const GOOD_FOR_MS = 60_000;
/** The first look-up at most: a relay without DNS still starts. */
const FIRST_MS = 2_000;

export interface PublicAddressesOptions {
  domain: string;
  resolver: Pick<Resolver, 'find'>;
  clock: Clock;
}

export class PublicAddresses {
  readonly #options: PublicAddressesOptions;
  #found: ReadonlySet<string> = new Set();
  #until = Number.NEGATIVE_INFINITY;

  constructor(options: PublicAddressesOptions) {
    this.#options = options;
  }

  /** Resolves when they are known, or when that takes too long. */
  async start(): Promise<void> {
    await atMost(this.#options.clock, FIRST_MS, this.#look());
  }

  /** As they were a minute ago at the most; nobody waits for a look-up. */
  get now(): ReadonlySet<string> {
    if (this.#options.clock.now() >= this.#until) void this.#look();
    return this.#found;
  }

  /** Never rejects. When no name server answers, the last ones stay. */
  async #look(): Promise<void> {
    const {domain, resolver, clock} = this.#options;
    this.#until = clock.now() + GOOD_FOR_MS;
    if (isLocalhostName(domain)) return;
    try {
      const found = await resolver.find(domain);
      if (found.length > 0) this.#found = new Set(found.flatMap((each) => plainAddress(each) ?? []));
    } catch {}
  }
}

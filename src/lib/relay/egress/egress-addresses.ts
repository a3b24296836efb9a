// The addresses of the egresses in the first process of several: it says at the start and at a reload which one is not of this
// machine, and tells when one is lost. The workers make the connections.

import type {Clock} from '../../core/clock.js';
import type {RelayEvents} from '../events.js';
import type {Part} from '../part.js';
import type {RelaySettings} from '../settings.js';
import {readEgressSets} from './egress-set.js';
import {SourceHealth} from './source-health.js';

type Settings = Pick<RelaySettings, 'egress'>;

export interface EgressAddressesOptions {
  settings: Settings;
  clock: Clock;
  events: Pick<RelayEvents, 'emit'>;
}

export class EgressAddresses implements Part {
  readonly #settings: Settings;
  readonly #health: SourceHealth;

  constructor({settings, clock, events}: EgressAddressesOptions) {
    this.#settings = settings;
    this.#health = new SourceHealth({clock, events});
  }

  /** @throws TunlError EGRESS_ADDRESS */
  async start(): Promise<void> {
    const sets = readEgressSets(this.#settings.egress);
    await this.#health.check(sets);
    this.#health.watch(sets);
  }

  /** @throws TunlError EGRESS_ADDRESS */
  async checkReload({egress}: Settings): Promise<void> {
    await this.#health.check(readEgressSets(egress));
  }

  reload({egress}: Settings): void {
    this.#health.watch(readEgressSets(egress));
  }

  close(): void {
    this.#health.close();
  }
}

/** For a check of a configuration. @throws TunlError EGRESS_ADDRESS, OPTION_INVALID */
export async function checkEgressAddresses(egress: readonly string[], clock: Clock): Promise<void> {
  await new SourceHealth({clock, events: {emit: () => {}}}).check(readEgressSets(egress));
}

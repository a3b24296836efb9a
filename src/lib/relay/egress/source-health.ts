// Whether the addresses of the egresses belong to this machine: checked by bind at the start, and again while the relay runs.

import {createSocket} from 'node:dgram';
import type {Clock, Timer} from '../../core/clock.js';
import {systemCode, TunlError} from '../../core/errors.js';
import type {RelayEvents} from '../events.js';
import {type EgressSet, familyOf} from './egress-set.js';

const CHECK_EVERY_MS = 5_000;

/** Tries to bind the address. Resolves with the system's code when that fails. */
export type TryBind = (address: string) => Promise<string | undefined>;

export interface SourceHealthOptions {
  clock: Clock;
  events: Pick<RelayEvents, 'emit'>;
  tryBind?: TryBind;
}

export class SourceHealth {
  readonly #options: SourceHealthOptions;
  readonly #tryBind: TryBind;
  #sets: readonly EgressSet[] = [];
  /** Addresses that cannot be used now, with the reason. */
  readonly #unhealthy = new Map<string, string>();
  #timer: Timer | undefined;
  #isOver = false;

  constructor(options: SourceHealthOptions) {
    this.#options = options;
    this.#tryBind = options.tryBind ?? bindUdp;
  }

  /** The number of addresses that cannot be used. */
  get unhealthy(): number {
    return this.#unhealthy.size;
  }

  isHealthy(address: string): boolean {
    return !this.#unhealthy.has(address);
  }

  /** @throws TunlError EGRESS_ADDRESS for the first address that is not of this machine. */
  async check(sets: readonly EgressSet[]): Promise<void> {
    for (const {name, addresses} of sets) {
      for (const address of addresses) {
        const code = await this.#tryBind(address);
        if (code !== undefined)
          throw new TunlError('EGRESS_ADDRESS', {
            reason: `The address ${address} of the egress ${name} is not of this machine (${code}).`,
          });
      }
    }
  }

  /** From now on these are watched. Their addresses have just been checked. */
  watch(sets: readonly EgressSet[]): void {
    this.#sets = sets;
    const all = this.#addresses();
    for (const address of [...this.#unhealthy.keys()]) if (!all.has(address)) this.#unhealthy.delete(address);
    this.#timer?.cancel();
    this.#timer = undefined;
    if (sets.length > 0 && !this.#isOver) this.#checkLater();
  }

  /** Checks all of them now, and later as usual. */
  async look(): Promise<void> {
    this.#timer?.cancel();
    await this.#checkAll();
  }

  /** A connection could not have this address. */
  lost(address: string, code: string): void {
    if (this.#unhealthy.has(address) || !this.#addresses().has(address)) return;
    this.#unhealthy.set(address, code);
    this.#options.events.emit({type: 'egress-address-lost', address, egress: this.#of(address), code});
  }

  close(): void {
    this.#isOver = true;
    this.#timer?.cancel();
  }

  #checkLater(): void {
    this.#timer = this.#options.clock.after(CHECK_EVERY_MS, () => void this.#checkAll());
  }

  async #checkAll(): Promise<void> {
    const sets = this.#sets;
    for (const address of this.#addresses()) {
      const code = await this.#tryBind(address);
      if (this.#isOver || this.#sets !== sets) return;
      if (code !== undefined) this.lost(address, code);
      else if (this.#unhealthy.delete(address))
        this.#options.events.emit({type: 'egress-address-back', address, egress: this.#of(address)});
    }
    this.#checkLater();
  }

  #addresses(): Set<string> {
    return new Set(this.#sets.flatMap(({addresses}) => addresses));
  }

  /** The names of the egresses that have it. */
  #of(address: string): string {
    return this.#sets.flatMap(({name, addresses}) => (addresses.includes(address) ? [name] : [])).join(' ');
  }
}

/** The codes of a bind that say something about the address: not of this machine, or of a family that it does not have. */
const ADDRESS_CODES: ReadonlySet<string> = new Set(['EADDRNOTAVAIL', 'EINVAL', 'EAFNOSUPPORT']);

/** True when this error says that a connection cannot leave from its address. */
export function isAddressLost(error: Error & {syscall?: string}): boolean {
  return error.syscall === 'bind' && ADDRESS_CODES.has(systemCode(error));
}

/** UDP, so that nothing listens for connections meanwhile. Too few descriptors, for example, say nothing about the address. */
const bindUdp: TryBind = (address) =>
  new Promise((resolve) => {
    const socket = createSocket(familyOf(address) === 6 ? 'udp6' : 'udp4');
    const end = (code: string | undefined) => {
      socket.close();
      resolve(code);
    };
    socket.once('error', (error) =>
      end(ADDRESS_CODES.has(systemCode(error)) ? systemCode(error) : undefined),
    );
    socket.bind({address, port: 0, exclusive: true}, () => end(undefined));
  });

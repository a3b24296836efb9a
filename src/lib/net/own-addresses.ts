// The addresses of this machine. Node asks the kernel for them through a socket, so the question fails without a free descriptor,
// and always where a process may open no such socket (RestrictAddressFamilies= of systemd without AF_NETLINK).

import {networkInterfaces} from 'node:os';
import {systemClock} from '../core/clock.js';
import {plainAddress} from './host-name.js';

export interface OwnAddressesOptions {
  /** @throws when the system does not tell. Default: the addresses of all interfaces. */
  readonly read?: (() => readonly string[]) | undefined;
  /** A list is read again after this time, ms. Default 0: for each question. */
  readonly goodForMs?: number;
  readonly now?: () => number;
  /** Called once, when the system does not tell and there is no earlier list. */
  readonly onUnknown?: (error: unknown) => void;
}

export class OwnAddresses {
  readonly #options: OwnAddressesOptions;
  #last: ReadonlySet<string> | undefined;
  #goodUntil = Number.NEGATIVE_INFINITY;
  #isTold = false;

  constructor(options: OwnAddressesOptions = {}) {
    this.#options = options;
  }

  /** In the usual spelling. While the system does not tell: the last list. Undefined: there has been none yet. Never throws. */
  find(): ReadonlySet<string> | undefined {
    const {read = interfaceAddresses, goodForMs = 0, now = systemClock.now, onUnknown} = this.#options;
    if (now() < this.#goodUntil) return this.#last;
    this.#goodUntil = now() + goodForMs;
    try {
      this.#last = new Set(read());
    } catch (error) {
      if (this.#last === undefined && !this.#isTold) onUnknown?.(error);
      this.#isTold = true;
    }
    return this.#last;
  }
}

function interfaceAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((all) =>
    (all ?? []).flatMap(({address}) => plainAddress(address.split('%')[0] ?? '') ?? []),
  );
}

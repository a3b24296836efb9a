// New rules of tunnels for the addresses of their visitors. Each set of rules is parsed, and checked against all present visitors of
// the tunnel, so an agent that changes rules very often has only the newest ones applied, a little later.

import type {Clock} from '../../core/clock.js';
import {AddressFilter} from '../../net/address-filter.js';
import type {AddressRules} from '../../protocol/control-messages.js';
import type {Tunnel} from '../tunnels/tunnel.js';
import type {Binder} from './binds.js';

/** The time between two applications of rules that waited, in one session, ms. */
const EVERY_MS = 100;

export interface RestrictionsOptions {
  /** The limit that the session shares with its binds. */
  hasToken: (binder: Binder) => boolean;
  spendToken: (binder: Binder) => void;
  onRestricted: (tunnel: Tunnel) => void;
  clock: Pick<Clock, 'after'>;
}

export class Restrictions {
  readonly #options: RestrictionsOptions;
  /** The newest rules of tunnels that wait, by session. A session without any has no entry. */
  readonly #waiting = new Map<Binder, Map<Tunnel, AddressRules>>();

  constructor(options: RestrictionsOptions) {
    this.#options = options;
  }

  /** The number of tunnels with rules that wait. */
  get waiting(): number {
    let sum = 0;
    for (const rules of this.#waiting.values()) sum += rules.size;
    return sum;
  }

  restrict(binder: Binder, tunnel: Tunnel, rules: AddressRules): void {
    const waiting = this.#waiting.get(binder);
    // The order is kept: newer rules must not be replaced by older ones.
    if (waiting === undefined && this.#options.hasToken(binder)) {
      this.#apply(binder, tunnel, rules);
      return;
    }
    if (waiting !== undefined) waiting.set(tunnel, rules);
    else {
      this.#waiting.set(binder, new Map([[tunnel, rules]]));
      this.#later(binder);
    }
  }

  /** The session is over. */
  forget(binder: Binder): void {
    this.#waiting.delete(binder);
  }

  #later(binder: Binder): void {
    this.#options.clock.after(EVERY_MS, () => this.#applySome(binder));
  }

  /** One at least, so that binds which take all tokens do not keep rules from being applied. */
  #applySome(binder: Binder): void {
    const waiting = this.#waiting.get(binder);
    if (waiting === undefined) return;
    for (const [tunnel, rules] of waiting) {
      waiting.delete(tunnel);
      // Another tunnel may have its number by now.
      if (binder.tunnels.get(tunnel.id) === tunnel) this.#apply(binder, tunnel, rules);
      if (!this.#options.hasToken(binder)) break;
    }
    if (waiting.size > 0) this.#later(binder);
    else this.#waiting.delete(binder);
  }

  #apply(binder: Binder, tunnel: Tunnel, rules: AddressRules): void {
    this.#options.spendToken(binder);
    try {
      tunnel.addresses = new AddressFilter(rules);
    } catch (error) {
      binder.session.onViolation(`restrict: ${String(error)}`);
      return;
    }
    this.#options.onRestricted(tunnel);
  }
}

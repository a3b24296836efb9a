// The hosts to which a relay may send an agent: those at or below the relay's own name, and those that the user has allowed,
// but never from the internet into a private network. The agent sends its token to each of them.

import {isIP} from 'node:net';
import {parseRelayUrl} from '../carrier/relay-url.js';
import {TunlError} from '../core/errors.js';
import {isLocalhostName} from '../core/localhost.js';
import {printable} from '../core/one-line.js';
import {type AddressKind, addressKind} from '../net/address-kind.js';

export interface SuccessorsOptions {
  /** URL of the relay that the user has given. */
  home: string;
  /** Hosts that the user allows, each with all names below it. */
  allowed: readonly string[];
}

/** The named relays that the agent follows to, and the reasons why it does not follow to the others. */
export interface NamedRelays {
  followed: readonly string[];
  refused: TunlError | undefined;
}

export class Successors {
  readonly #home: string;
  readonly #allowed: readonly string[];
  /** The address of the user's own relay; undefined when it is unknown, such as behind a proxy. */
  #homeAddress: string | undefined;

  constructor({home, allowed}: SuccessorsOptions) {
    this.#home = plainHost(parseRelayUrl(home).host);
    this.#allowed = allowed.map(plainHost);
  }

  /** The user's own relay was reached at this address. */
  reachedHome(address: string | undefined): void {
    this.#homeAddress = address ?? this.#homeAddress;
  }

  /** Whether a connection to a named relay may lead to this address. */
  readonly accepts = (address: string): boolean => {
    const kind = addressKind(address);
    return kind === 'public' || kind === this.#homeKind;
  };

  /** Decides which of the named relays the agent follows to. */
  judge(urls: readonly string[]): NamedRelays {
    const followed: string[] = [];
    const reasons: string[] = [];
    for (const url of urls) {
      const why = this.#whyNot(url);
      if (why === undefined) followed.push(url);
      else reasons.push(`${printable(url)} ${why}`);
    }
    const [first] = reasons;
    if (first === undefined) return {followed, refused: undefined};
    const more = reasons.length > 1 ? ` (and ${reasons.length - 1} more)` : '';
    const reason = `The relay sends this agent to ${first}${more}: it does not go there.`;
    return {followed, refused: new TunlError('SUCCESSOR_REFUSED', {reason})};
  }

  get #homeKind(): AddressKind | undefined {
    return this.#homeAddress === undefined ? kindOf(this.#home) : addressKind(this.#homeAddress);
  }

  #whyNot(url: string): string | undefined {
    let host: string;
    try {
      host = plainHost(parseRelayUrl(url).host);
    } catch {
      return 'which is no https address of a relay';
    }
    const isNamed = isBelow(host, this.#home) || this.#allowed.some((each) => isBelow(host, each));
    if (!isNamed) return `which is neither below ${this.#home} nor allowed`;
    const kind = kindOf(host);
    if (kind === undefined || kind === 'public' || kind === this.#homeKind) return undefined;
    return 'which is in a private network';
  }
}

/** The kind of address of a host that needs no resolver; undefined for a name. */
function kindOf(host: string): AddressKind | undefined {
  if (isLocalhostName(host)) return 'loopback';
  return isIP(host) === 0 ? undefined : addressKind(host);
}

/** An address has no names below it: a host that looks like one is a name, or invalid. */
function isBelow(host: string, parent: string): boolean {
  return host === parent || (isIP(parent) === 0 && host.endsWith(`.${parent}`));
}

const plainHost = (host: string): string => host.toLowerCase().replace(/^\[|\]$|\.$/g, '');

// The decision about one name or one address under the rules of now. Pure.

import {isIP} from 'node:net';
import {addressKind} from '../net/address-kind.js';
import {plainAddress} from '../net/host-name.js';
import type {SealRules} from './rules.js';

/** The reason why a look-up or a connection was refused. Stable: events carry it. */
export type RefusalReason =
  /** No rule has this host with this port. */
  | 'not-allowed'
  /** The address is no public one: loopback, private, link-local, multicast, or one of this machine. */
  | 'not-public'
  /** No look-up has given this address. */
  | 'address-unknown'
  /** The first bytes are no TLS with the name of the connection. */
  | 'server-name'
  /** Too many connections at once. */
  | 'limit';

export class Policy {
  readonly rules: SealRules;
  /** The names and addresses of a list, each with its ports. */
  readonly #exact = new Map<string, Set<number>>();
  /** `*.example.com` as `.example.com`. */
  readonly #below: {readonly end: string; readonly port: number}[] = [];
  /** Addresses of this machine. A service there may trust whoever comes from the machine itself. */
  readonly #isOwn: (address: string) => boolean;

  constructor(rules: SealRules, isOwn: (address: string) => boolean = () => false) {
    this.rules = rules;
    this.#isOwn = isOwn;
    if (rules.kind !== 'list') return;
    for (const {host, port} of rules.allow) {
      if (host.startsWith('*.')) this.#below.push({end: host.slice(1), port});
      else {
        const ports = this.#exact.get(host) ?? new Set();
        this.#exact.set(host, ports.add(port));
      }
    }
  }

  /** Whether each name gets an address of the seal's own: then a connection says by its address which name it means. */
  get hasOwnAddresses(): boolean {
    return this.rules.kind === 'list' || this.rules.kind === 'elsewhere';
  }

  /** Whether a ClientHello must name the host of its connection. */
  get checksServerNames(): boolean {
    return this.rules.kind !== 'elsewhere';
  }

  /** Whether a rule has this name, with any port: it may be looked up. */
  hasName(name: string): boolean {
    if (this.rules.kind !== 'list') return this.rules.kind !== 'none';
    return this.#exact.has(name) || this.#below.some(({end}) => name.endsWith(end));
  }

  /** Whether a connection to this name and port is allowed, as far as the name decides. */
  allowsName(name: string, port: number): boolean {
    if (this.rules.kind !== 'list') return this.rules.kind !== 'none';
    if (isIP(name) !== 0) return false;
    return (
      this.#exact.get(name)?.has(port) === true ||
      this.#below.some((each) => each.port === port && name.endsWith(each.end))
    );
  }

  /** For a connection to a plain address. Undefined: it is allowed. */
  refuseLiteral(address: string, port: number): RefusalReason | undefined {
    if (this.rules.kind === 'list') return this.#hasLiteral(address, port) ? undefined : 'not-allowed';
    if (this.rules.kind === 'elsewhere') return undefined;
    return this.rules.kind === 'internet' && this.#isPublic(address) ? undefined : 'not-public';
  }

  /** Whether a connection to an allowed name may go to this address of it. */
  mayDial(address: string, port: number): boolean {
    return this.rules.kind === 'elsewhere' || this.#isPublic(address) || this.#hasLiteral(address, port);
  }

  /** Whether a look-up of an allowed name may have this address as an answer. */
  mayAnswer(address: string): boolean {
    if (this.rules.kind === 'elsewhere') return true;
    return this.#isPublic(address) || this.#exact.has(plainAddress(address) ?? '');
  }

  #hasLiteral(address: string, port: number): boolean {
    return this.#exact.get(plainAddress(address) ?? '')?.has(port) === true;
  }

  #isPublic(address: string): boolean {
    const plain = plainAddress(address);
    return plain !== undefined && addressKind(plain) === 'public' && !this.#isOwn(plain);
  }
}

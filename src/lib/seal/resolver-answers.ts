// The resolver of a sealed network: it answers questions for allowed names, and forwards none.

import {isIPv6} from 'node:net';
import {systemClock} from '../core/clock.js';
import {addressKind} from '../net/address-kind.js';
import {knownAddresses} from '../net/localhost.js';
import type {Resolver} from '../net/name-lookup.js';
import type {OwnAddresses} from '../net/own-addresses.js';
import {
  type DnsAnswer,
  type DnsQuestion,
  RCODE,
  readQuestion,
  TYPE_A,
  TYPE_AAAA,
  writeAnswer,
  writeError,
} from './dns-message.js';
import type {MemberNames} from './member-network.js';
import type {NameTable} from './name-table.js';
import type {Policy} from './policy.js';
import type {Refusals} from './refusals.js';

/** Short, because rules may change. */
const TTL_SECONDS = 30;
/** Members come and go. */
const MEMBER_TTL_SECONDS = 1;
const PER_SECOND = 100;
const BURST = 200;

export interface AnswersOptions {
  readonly policy: () => Policy;
  readonly names: NameTable;
  readonly resolver: Resolver;
  readonly refusals: Refusals;
  /** Names of a private network are known without a look-up, whatever the rules are. */
  readonly members?: MemberNames | undefined;
  readonly ownAddresses: Pick<OwnAddresses, 'find'>;
}

export class Answers {
  readonly #options: AnswersOptions;
  #tokens = BURST;
  #filledAt = systemClock.now();

  constructor(options: AnswersOptions) {
    this.#options = options;
  }

  /** Undefined: no answer. Never rejects. */
  async to(message: Buffer): Promise<Buffer | undefined> {
    if (!this.#mayAnswer()) return undefined;
    const read = readQuestion(message);
    if (read === undefined) return undefined;
    if (!('question' in read)) return writeError(read);
    const answer = await this.#answer(read.question).catch((): DnsAnswer => ({rcode: RCODE.failed}));
    return writeAnswer(read.question, answer);
  }

  #mayAnswer(): boolean {
    const now = systemClock.now();
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#filledAt) / 1_000) * PER_SECOND);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  async #answer({name, type}: DnsQuestion): Promise<DnsAnswer> {
    const {names, resolver, refusals} = this.#options;
    if (name === undefined) return {rcode: RCODE.noName};
    const own = this.#options.members?.addressOf(name);
    if (own === 'none') return {rcode: RCODE.noName};
    if (own !== undefined)
      return {rcode: RCODE.ok, addresses: type === TYPE_AAAA ? [own] : [], ttl: MEMBER_TTL_SECONDS};
    const policy = this.#options.policy();
    if (!policy.hasName(name)) {
      refusals.tell(name, undefined, 'not-allowed');
      // REFUSED would make the programs' resolvers try again.
      return {rcode: RCODE.noName};
    }
    if (type !== TYPE_A && type !== TYPE_AAAA) return {rcode: RCODE.ok};
    const isElsewhere = policy.rules.kind === 'elsewhere';
    const ofFamily = (address: string) => isIPv6(address) === (type === TYPE_AAAA);
    const local = isElsewhere ? knownAddresses(name) : undefined;
    if (local !== undefined) return {rcode: RCODE.ok, addresses: local.filter(ofFamily), ttl: TTL_SECONDS};
    let found: readonly string[];
    try {
      found = await resolver.find(name);
    } catch {
      return {rcode: RCODE.failed};
    }
    if (found.length === 0) return {rcode: RCODE.noName};
    const allowed = found.filter((address) => policy.mayAnswer(address));
    if (allowed.length === 0) {
      refusals.tell(name, undefined, 'not-public');
      return {rcode: RCODE.noName};
    }
    if (policy.hasOwnAddresses) {
      // A family that the far side does not have: the program must choose the other one.
      if (isElsewhere && !allowed.some(ofFamily)) return {rcode: RCODE.ok};
      const {v4, v6} = names.addressesOf(name);
      return {rcode: RCODE.ok, addresses: [type === TYPE_A ? v4 : v6], ttl: TTL_SECONDS};
    }
    // The seal accepts every connection before it dials, so a program would not fall back from IPv6 to IPv4.
    const addresses = allowed.filter((each) => ofFamily(each) && (type === TYPE_A || this.#hasIPv6));
    return {rcode: RCODE.ok, addresses, ttl: TTL_SECONDS};
  }

  /** Whether this machine has an address in the IPv6 internet. */
  get #hasIPv6(): boolean {
    const own = [...(this.#options.ownAddresses.find() ?? [])];
    return own.some((each) => isIPv6(each) && addressKind(each) === 'public');
  }
}

// Private networks at this relay, or at this worker of it: the memberships of its agents.

import type {Clock} from '../../core/clock.js';
import type {StreamHandler} from '../../mux/stream-kinds.js';
import {
  memberAddress,
  type NetworkName,
  type NetworkOpen,
  networkPrefix,
  parseNetworkOpen,
} from '../../protocol/network-messages.js';
import type {StreamCode} from '../../protocol/wire.js';
import type {MemberTraffic} from '../admin/report.js';
import type {Opener} from '../agents/opened-streams.js';
import {TokenBuckets} from '../doors/token-buckets.js';
import {type RelayEvents, sessionName} from '../events.js';
import {Counts} from '../limits/counts.js';
import type {LimitReports} from '../limits/limit-reports.js';
import type {Desk} from './desk.js';
import {Membership} from './membership.js';
import type {MemberAsked, MemberHolder} from './network-desk.js';

/** Memberships of one session, with those that only watch. */
const MOST_OF_SESSION = 64;
/** Streams of one owner that only watch: a list of members needs one for a moment. */
const MOST_WATCHERS_OF_OWNER = 256;
/** The joins of one session at once, and those a second after that; the same for all sessions of an owner. */
const JOINS = {burst: 64, perSecond: 2};
const JOINS_OF_OWNER = {burst: 512, perSecond: 20};
/** The lines of one member at once, and those a second after that. */
const LINES = {burst: 100, perSecond: 10};

export interface NetworksOptions {
  domain: string;
  desk: Desk;
  reports: Pick<LimitReports, 'note'>;
  events: Pick<RelayEvents, 'emit'>;
  clock: Clock;
}

export class Networks implements MemberHolder {
  /** Only a desk in the same process asks. */
  readonly isUp = true;
  readonly #options: NetworksOptions;
  readonly #joins: TokenBuckets;
  readonly #joinsOfOwner: TokenBuckets;
  readonly #lines: TokenBuckets;
  /** All streams of the service, by session. */
  readonly #bySession = new Map<string, Set<Membership>>();
  /** Those that only watch, by owner. */
  readonly #watchers = new Counts();
  /** Members, by the desk's number. */
  readonly #members = new Map<number, Membership>();
  /** One for each join under way: the members that the desk has replaced since it began, and that are not known here. */
  readonly #joining = new Set<Set<number>>();
  /** Everyone who gets the roster of a network, and the last one. */
  readonly #readers = new Map<string, {all: Set<Membership>; line: Buffer | undefined}>();

  constructor(options: NetworksOptions) {
    this.#options = options;
    const {clock} = options;
    this.#joins = new TokenBuckets({...JOINS, clock});
    this.#joinsOfOwner = new TokenBuckets({...JOINS_OF_OWNER, clock});
    this.#lines = new TokenBuckets({...LINES, clock});
  }

  /** Takes streams of the service `network`. */
  readonly service: StreamHandler<Opener> = (stream, payload, opener) => {
    const about = parseNetworkOpen(payload);
    const refusal = this.#refusal(about, opener);
    if (refusal !== undefined) {
      this.#refused(about, opener, refusal[0]);
      stream.refuse(...refusal);
      return;
    }
    const {session} = opener;
    this.#joins.spend(session);
    this.#joinsOfOwner.spend(opener.principal.owner);
    const {domain, clock} = this.#options;
    const membership: Membership = new Membership({
      ...{stream, about, opener, domain, clock},
      ...{lines: this.#lines, source: `${session} ${stream.id}`},
      onProved: () => void this.#join(membership),
      onState: (state) => {
        if (membership.id !== undefined) this.#options.desk.tell(membership.id, state);
      },
      onOver: (code, isRefused) => this.#left(membership, code, isRefused),
    });
    put(this.#bySession, session, membership);
    if (about.member === undefined) this.#watch(membership);
    else void this.#begin(membership);
  };

  /** Rights may have changed. */
  recheck(): void {
    for (const memberships of [...this.#bySession.values()])
      for (const membership of [...memberships])
        if (!mayBe(membership.about, membership.opener))
          membership.end('NOT_ALLOWED', 'The token does not allow this network any more.');
  }

  /** The member of this name in this session; undefined: it is none, or not yet. */
  memberOf(session: string, network: NetworkName, name: string): Membership | undefined {
    const key = keyOf(network);
    for (const membership of this.#bySession.get(session) ?? [])
      if (membership.isIn && membership.about.member?.name === name && keyOf(membership.about) === key)
        return membership;
    return undefined;
  }

  /** The member in this process with this number of the desk. */
  memberNumbered(id: number): Membership | undefined {
    return this.#members.get(id);
  }

  /** For the operator: the bytes of the members in this process. */
  traffic(most: number): MemberTraffic[] {
    const some = [...this.#members.values()].slice(0, most);
    return some.map(({about, joins}) => ({
      network: keyOf(about),
      name: about.member?.name ?? '',
      ...joins.traffic,
    }));
  }

  // ── From the desk ──

  roster(network: string, line: string): void {
    const readers = this.#readers.get(network);
    if (readers === undefined) return;
    readers.line = Buffer.from(line);
    for (const membership of readers.all) membership.show(readers.line);
  }

  replaced(member: number): void {
    const membership = this.#members.get(member);
    if (membership !== undefined)
      membership.end('MEMBER_REPLACED', 'The same key has joined again under this name.');
    // The answer to its own join may be there, and not read yet.
    else for (const replaced of this.#joining) replaced.add(member);
  }

  // ── Memberships ──

  #refusal(about: NetworkOpen, opener: Opener): readonly [StreamCode, string] | undefined {
    const {session, principal} = opener;
    if (!mayBe(about, opener))
      return ['NOT_ALLOWED', `The token has no scope ${about.scope}:${about.network}.`];
    if ((this.#bySession.get(session)?.size ?? 0) >= MOST_OF_SESSION)
      return ['TOO_MANY_STREAMS', `An agent may be in ${MOST_OF_SESSION} networks.`];
    if (about.member === undefined && this.#watchers.of(principal.owner) >= MOST_WATCHERS_OF_OWNER)
      return ['TOO_MANY_STREAMS', `An owner may watch with ${MOST_WATCHERS_OF_OWNER} streams.`];
    for (const [joins, source] of [
      [this.#joins, session],
      [this.#joinsOfOwner, principal.owner],
    ] as const) {
      if (joins.has(source)) continue;
      const seconds = Math.ceil(joins.waitMs(source) / 1_000);
      return ['TOO_MANY_STREAMS', `Too many joins in a row; the next in ${seconds} s.`];
    }
    return undefined;
  }

  #refused({scope, network, member}: NetworkOpen, {session, principal}: Opener, code: StreamCode): void {
    const {owner, tokenId} = principal;
    if (code === 'TOO_MANY_STREAMS') {
      this.#options.reports.note('members', 'owner', owner);
      return;
    }
    const name = member?.name ?? '';
    const about = {session: sessionName(session), owner, tokenId, code, network: `${scope}:${network}`, name};
    this.#options.events.emit({type: 'member-refused', ...about});
  }

  /** A name that is used and a network that is full are told before the stream is accepted. */
  async #begin(membership: Membership): Promise<void> {
    const asked = this.#asked(membership);
    try {
      const refusal = await this.#options.desk.check(asked);
      if (refusal === undefined) membership.challenge();
      else membership.end(...refusal);
    } catch {
      membership.end('DRAINING', 'The relay cannot take members now.');
    }
  }

  async #join(membership: Membership): Promise<void> {
    const {desk, domain, events} = this.#options;
    const asked = this.#asked(membership);
    const {session, principal} = membership.opener;
    // The roster may come before the answer.
    this.#readerOf(asked.network, membership);
    const replaced = new Set<number>();
    this.#joining.add(replaced);
    try {
      const answer = await desk.join(asked);
      if (!answer.ok) return membership.end(...answer.refusal);
      if (membership.isOver) return desk.leave(answer.member);
      const {member, serial} = answer;
      membership.id = member;
      membership.address = asked.address;
      this.#members.set(member, membership);
      membership.enter({prefix: networkPrefix(domain, membership.about), address: asked.address, serial});
      const {owner, tokenId} = principal;
      const {network, name, address} = asked;
      const who = {session: sessionName(session), owner, tokenId};
      events.emit({type: 'member-joined', ...who, network, name, address});
      if (replaced.has(member)) this.replaced(member);
    } catch {
      membership.end('DRAINING', 'The relay cannot take members now.');
    } finally {
      this.#joining.delete(replaced);
    }
  }

  #asked({about, opener}: Membership): MemberAsked {
    const {name, key, accepts} = about.member ?? {name: '', key: Buffer.alloc(0), accepts: false};
    return {
      ...{network: keyOf(about), name, accepts, key: key.toString('base64url')},
      address: memberAddress(this.#options.domain, about, key),
      owner: opener.principal.owner,
      session: sessionName(opener.session),
    };
  }

  #watch(membership: Membership): void {
    this.#watchers.add(membership.opener.principal.owner, 1);
    const network = keyOf(membership.about);
    const {line} = this.#readerOf(network, membership);
    membership.enter({prefix: networkPrefix(this.#options.domain, membership.about)});
    if (line !== undefined) membership.show(line);
    this.#options.desk.watch(network);
  }

  #readerOf(network: string, membership: Membership): {line: Buffer | undefined} {
    const readers = this.#readers.get(network) ?? {all: new Set<Membership>(), line: undefined};
    readers.all.add(membership);
    this.#readers.set(network, readers);
    return readers;
  }

  #left(membership: Membership, code: StreamCode | undefined, isRefused: boolean): void {
    const {about, opener, id, joins} = membership;
    const {desk, events} = this.#options;
    const network = keyOf(about);
    take(this.#bySession, opener.session, membership);
    const readers = this.#readers.get(network);
    if (readers?.all.delete(membership) && readers.all.size === 0) this.#readers.delete(network);
    for (const join of [...joins]) join.cut(code ?? 'MEMBER_UNKNOWN');
    if (about.member === undefined) {
      this.#watchers.add(opener.principal.owner, -1);
      desk.unwatch(network);
      return;
    }
    if (id === undefined) {
      if (code !== undefined && isRefused) this.#refused(about, opener, code);
      return;
    }
    this.#members.delete(id);
    desk.leave(id);
    const where = {session: sessionName(opener.session), network, name: about.member.name};
    events.emit({type: 'member-left', ...where, code});
  }
}

export const keyOf = ({scope, network}: NetworkName): string => `${scope}:${network}`;

/** By the current record of the token, because rights change while a session lives. */
function mayBe({scope, network}: NetworkName, {principal}: Opener): boolean {
  return principal.ended === undefined && principal.rights.allows(scope, network);
}

function put<T>(sets: Map<string, Set<T>>, name: string, value: T): void {
  const set = sets.get(name);
  if (set === undefined) sets.set(name, new Set([value]));
  else set.add(value);
}

function take<T>(sets: Map<string, Set<T>>, name: string, value: T): void {
  const set = sets.get(name);
  if (set?.delete(value) && set.size === 0) sets.delete(name);
}

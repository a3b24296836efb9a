// All private networks of a relay, in one place: their members, and the roster that members see. With several worker processes
// it is in the first one.

import type {Clock, Timer} from '../../core/clock.js';
import {NETWORK_LIMITS} from '../../protocol/network-messages.js';
import type {StreamCode} from '../../protocol/wire.js';
import type {NetworkStatus} from '../admin/report.js';
import {Counts} from '../limits/counts.js';

/** Members that one owner may have, in all networks together. */
const MOST_OF_OWNER = 1_024;
/** Rosters of one network are sent at this rate at most, bytes a second: each goes to every member. */
const ROSTER_BYTES_PER_SECOND = 8 * 1024 * 1024;
/** The shortest time between two rosters of a network, ms. */
const ROSTER_EVERY_MS = 20;

export interface MemberAsked {
  /** `net:lab` */
  network: string;
  name: string;
  /** The raw key, in base64url. */
  key: string;
  address: string;
  accepts: boolean;
  owner: string;
  /** The name of its session in events and in the log. */
  session: string;
}

/** A process that has members. */
export interface MemberHolder {
  /** False: the process has ended. Its last questions may come after that. */
  readonly isUp: boolean;
  /** The roster of a network has changed; the process has members or watchers of it. */
  roster(network: string, line: string): void;
  /** The same key has joined again. */
  replaced(member: number): void;
}

export type NetworkRefusal = readonly [code: StreamCode, message: string];

/** Nobody hears it. */
const GONE: NetworkRefusal = ['DRAINING', 'The process of the member has ended.'];

export type JoinAnswer = {ok: true; member: number; serial: number} | {ok: false; refusal: NetworkRefusal};

interface Member<Holder> extends MemberAsked {
  readonly id: number;
  readonly holder: Holder;
  readonly serial: number;
  /** Its part of the roster. */
  text: string;
}

interface Network<Holder> {
  readonly name: string;
  /** In the order in which they joined. */
  readonly members: Map<string, Member<Holder>>;
  readonly byKey: Map<string, Member<Holder>>;
  /** The number of streams that only watch, by process. */
  readonly watchers: Map<Holder, number>;
  lastSerial: number;
  timer: Timer | undefined;
  /** No roster before this time, ms. */
  nextAt: number;
}

export class NetworkDesk<Holder extends MemberHolder> {
  readonly #clock: Clock;
  readonly #networks = new Map<string, Network<Holder>>();
  readonly #members = new Map<number, Member<Holder>>();
  readonly #ofOwner = new Counts();
  #lastId = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get counts(): {networks: number; members: number} {
    return {networks: this.#networks.size, members: this.#members.size};
  }

  /** For the operator: the networks that have members, with at most so many members in all of them together. Processes count their bytes. */
  status(most: number): NetworkStatus[] {
    const all: NetworkStatus[] = [];
    let left = most;
    for (const {name: network, members} of this.#networks.values()) {
      if (left <= 0) break;
      const some = [...members.values()].slice(0, left).map(({name, address, owner, session, accepts}) => ({
        ...{name, address, owner, session, accepts, bytesIn: 0, bytesOut: 0},
      }));
      if (some.length > 0) all.push({network, members: some});
      left -= some.length;
    }
    return all;
  }

  /** Why this member could not join now. */
  check({network: name, name: member, key, owner}: MemberAsked): NetworkRefusal | undefined {
    const network = this.#networks.get(name);
    const named = network?.members.get(member);
    if (named !== undefined)
      return named.key === key ? undefined : ['MEMBER_NAME_USED', `Another member has the name ${member}.`];
    if (network?.byKey.has(key)) return ['MEMBER_NAME_USED', 'A member with another name has this key.'];
    const {members: most} = NETWORK_LIMITS;
    if (network !== undefined && network.members.size >= most)
      return ['NETWORK_FULL', `A network may have ${most} members.`];
    return this.#ofOwner.of(owner) >= MOST_OF_OWNER
      ? ['TOO_MANY_STREAMS', `An owner may have ${MOST_OF_OWNER} members.`]
      : undefined;
  }

  /** The same key takes over its name, and keeps its serial number. */
  join(holder: Holder, asked: MemberAsked): JoinAnswer {
    const refusal = holder.isUp ? this.check(asked) : GONE;
    if (refusal !== undefined) return {ok: false, refusal};
    const network = this.#network(asked.network);
    const before = network.members.get(asked.name);
    if (before === undefined) network.lastSerial += 1;
    this.#lastId += 1;
    const id = this.#lastId;
    const member: Member<Holder> = {
      ...asked,
      id,
      holder,
      serial: before?.serial ?? network.lastSerial,
      text: '',
    };
    member.text = textOf(member, {});
    this.#members.set(id, member);
    this.#ofOwner.add(asked.owner, 1);
    network.members.set(asked.name, member);
    network.byKey.set(asked.key, member);
    if (before !== undefined) {
      this.#forget(before);
      before.holder.replaced(before.id);
    }
    this.#changed(network);
    return {ok: true, member: id, serial: member.serial};
  }

  leave(id: number): void {
    const member = this.#members.get(id);
    if (member === undefined) return;
    this.#forget(member);
    const network = this.#networks.get(member.network);
    if (network?.members.get(member.name) !== member) return;
    network.members.delete(member.name);
    network.byKey.delete(member.key);
    this.#changed(network);
    this.#dropIfEmpty(network);
  }

  /** Takes the words of a member for the others. */
  tell(id: number, state: object): void {
    const member = this.#members.get(id);
    const network = member && this.#networks.get(member.network);
    if (member === undefined || network === undefined) return;
    const text = textOf(member, state);
    if (text === member.text) return;
    member.text = text;
    this.#changed(network);
  }

  find(network: string, name: string): {member: number; holder: Holder} | undefined {
    const member = this.#networks.get(network)?.members.get(name);
    return member && {member: member.id, holder: member.holder};
  }

  /** The process gets the rosters of this network, also without a member. */
  watch(holder: Holder, name: string): void {
    const network = this.#network(name);
    const count = network.watchers.get(holder) ?? 0;
    network.watchers.set(holder, count + 1);
    // A process that had the roster already shows it by itself.
    const hasMember = [...network.members.values()].some((member) => member.holder === holder);
    if (count === 0 && !hasMember) holder.roster(name, lineOf(network));
  }

  unwatch(holder: Holder, name: string): void {
    const network = this.#networks.get(name);
    if (network === undefined) return;
    const count = (network.watchers.get(holder) ?? 0) - 1;
    if (count > 0) network.watchers.set(holder, count);
    else network.watchers.delete(holder);
    this.#dropIfEmpty(network);
  }

  /** The process has ended. */
  left(holder: Holder): void {
    for (const member of [...this.#members.values()]) if (member.holder === holder) this.leave(member.id);
    for (const network of [...this.#networks.values()]) {
      network.watchers.delete(holder);
      this.#dropIfEmpty(network);
    }
  }

  close(): void {
    for (const {timer} of this.#networks.values()) timer?.cancel();
  }

  #network(name: string): Network<Holder> {
    const known = this.#networks.get(name);
    if (known !== undefined) return known;
    const network: Network<Holder> = {
      ...{name, members: new Map(), byKey: new Map(), watchers: new Map()},
      ...{lastSerial: 0, timer: undefined, nextAt: 0},
    };
    this.#networks.set(name, network);
    return network;
  }

  #forget(member: Member<Holder>): void {
    this.#members.delete(member.id);
    this.#ofOwner.add(member.owner, -1);
  }

  #dropIfEmpty(network: Network<Holder>): void {
    if (network.members.size > 0 || network.watchers.size > 0) return;
    network.timer?.cancel();
    this.#networks.delete(network.name);
  }

  /** Sends the roster soon: one for all changes until then. */
  #changed(network: Network<Holder>): void {
    if (network.timer !== undefined) return;
    const waitMs = Math.max(0, network.nextAt - this.#clock.now());
    network.timer = this.#clock.after(waitMs, () => this.#send(network));
  }

  #send(network: Network<Holder>): void {
    network.timer = undefined;
    const line = lineOf(network);
    const holders = new Set([...network.watchers.keys()]);
    for (const {holder} of network.members.values()) holders.add(holder);
    for (const holder of holders) holder.roster(network.name, line);
    const readers =
      network.members.size + [...network.watchers.values()].reduce((sum, each) => sum + each, 0);
    const costMs = ((line.length * readers) / ROSTER_BYTES_PER_SECOND) * 1_000;
    network.nextAt = this.#clock.now() + Math.max(ROSTER_EVERY_MS, costMs);
  }
}

function textOf({name, address, key, serial, accepts}: Member<unknown>, state: object): string {
  return JSON.stringify({name, address, key, serial, accepts, state});
}

function lineOf({members}: Network<unknown>): string {
  return `{"members":[${[...members.values()].map(({text}) => text).join(',')}]}\n`;
}

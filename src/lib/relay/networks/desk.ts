// The desk of networks as the process of a member sees it: in the same process, or in the first of several.

import type {Clock} from '../../core/clock.js';
import type {NetworkStatus} from '../admin/report.js';
import type {Part} from '../part.js';
import {
  type JoinAnswer,
  type MemberAsked,
  type MemberHolder,
  NetworkDesk,
  type NetworkRefusal,
} from './network-desk.js';

export interface MemberPlace {
  member: number;
  /** Undefined: in this process. */
  worker: number | undefined;
}

/** Promises reject when the first process is gone. */
export interface Desk {
  check(asked: MemberAsked): Promise<NetworkRefusal | undefined>;
  join(asked: MemberAsked): Promise<JoinAnswer>;
  leave(member: number): void;
  tell(member: number, state: object): void;
  find(network: string, name: string): Promise<MemberPlace | undefined>;
  watch(network: string): void;
  unwatch(network: string): void;
}

/** The desk of a relay with one process. */
export class LocalDesk implements Desk, Part {
  readonly #desk: NetworkDesk<MemberHolder>;
  #holder: MemberHolder = {isUp: true, roster: () => {}, replaced: () => {}};

  constructor(clock: Clock) {
    this.#desk = new NetworkDesk(clock);
  }

  serves(holder: MemberHolder): void {
    this.#holder = holder;
  }

  get counts(): {networks: number; members: number} {
    return this.#desk.counts;
  }

  status(most: number): NetworkStatus[] {
    return this.#desk.status(most);
  }

  async check(asked: MemberAsked): Promise<NetworkRefusal | undefined> {
    return this.#desk.check(asked);
  }

  async join(asked: MemberAsked): Promise<JoinAnswer> {
    return this.#desk.join(this.#holder, asked);
  }

  leave(member: number): void {
    this.#desk.leave(member);
  }

  tell(member: number, state: object): void {
    this.#desk.tell(member, state);
  }

  async find(network: string, name: string): Promise<MemberPlace | undefined> {
    const found = this.#desk.find(network, name);
    return found && {member: found.member, worker: undefined};
  }

  watch(network: string): void {
    this.#desk.watch(this.#holder, network);
  }

  unwatch(network: string): void {
    this.#desk.unwatch(this.#holder, network);
  }

  close(): void {
    this.#desk.close();
  }
}

// The desk of networks as a worker sees it: it is in the first process.

import type {Desk, MemberPlace} from '../networks/desk.js';
import type {JoinAnswer, MemberAsked, NetworkRefusal} from '../networks/network-desk.js';
import type {FromWorker, QuestionsOfWorker} from './messages.js';

interface Talking {
  tell(message: FromWorker): void;
  ask<Q extends keyof QuestionsOfWorker>(
    question: Q,
    about: QuestionsOfWorker[Q]['about'],
  ): Promise<QuestionsOfWorker[Q]['answer']>;
}

export class RemoteDesk implements Desk {
  readonly #worker: number;
  readonly #talk: Talking;

  /** @param worker the number of this worker */
  constructor(worker: number, talk: Talking) {
    this.#worker = worker;
    this.#talk = talk;
  }

  check(asked: MemberAsked): Promise<NetworkRefusal | undefined> {
    return this.#talk.ask('checkMember', asked);
  }

  join(asked: MemberAsked): Promise<JoinAnswer> {
    return this.#talk.ask('joinMember', asked);
  }

  leave(member: number): void {
    this.#talk.tell({type: 'member-left', member});
  }

  tell(member: number, state: object): void {
    this.#talk.tell({type: 'member-state', member, state});
  }

  async find(network: string, name: string): Promise<MemberPlace | undefined> {
    const found = await this.#talk.ask('findMember', {network, name});
    return found?.worker === this.#worker ? {...found, worker: undefined} : found;
  }

  watch(network: string): void {
    this.#talk.tell({type: 'network-watched', network, isWatched: true});
  }

  unwatch(network: string): void {
    this.#talk.tell({type: 'network-watched', network, isWatched: false});
  }
}

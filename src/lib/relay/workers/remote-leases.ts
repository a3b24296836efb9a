// The lease store of a worker: it asks the first process.

import type {Claimant, ClaimResult, LeaseKey, LeaseStore} from '../leases/lease-store.js';
import type {QuestionsOfWorker} from './messages.js';

type Ask = <Q extends 'claim' | 'release' | 'ownerOf' | 'freePorts'>(
  question: Q,
  about: QuestionsOfWorker[Q]['about'],
) => Promise<QuestionsOfWorker[Q]['answer']>;

export class RemoteLeases implements LeaseStore {
  /** The first process lets visitors of these wait. */
  readonly expected: readonly LeaseKey[] = [];
  readonly #ask: Ask;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  claim(key: LeaseKey, owner: string, claimant?: Claimant): Promise<ClaimResult> {
    return this.#ask('claim', {key, owner, claimant});
  }

  release(key: LeaseKey, epoch: number): Promise<void> {
    return this.#ask('release', {key, epoch});
  }

  ownerOf(key: LeaseKey): Promise<string | undefined> {
    return this.#ask('ownerOf', {key});
  }

  freePorts(ports: readonly number[]): Promise<number[]> {
    return this.#ask('freePorts', {ports});
  }
}

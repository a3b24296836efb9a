// Names and ports of a relay with several workers: the leases, and the worker that has each key.

import {atMost, type Clock} from '../../core/clock.js';
import type {Claimant, ClaimResult, LeaseKey, LeaseStore} from '../leases/lease-store.js';

/** A worker that has keys. */
export interface KeyHolder {
  readonly isUp: boolean;
  /** It has lost the key. Resolves when it does not listen on the key's port any more. */
  lose(key: LeaseKey, epoch: number): Promise<unknown>;
  /** Whether it has a tunnel with this key, over a live link. */
  hasInUse(key: LeaseKey): Promise<boolean>;
}

/** The longest wait for a worker that must stop listening on a port, ms. */
const LOSE_MS = 2_000;
/** The longest wait for any other answer of a worker, ms. */
const ANSWER_MS = 2_000;

export interface LeaseDeskOptions {
  leases: LeaseStore;
  /** Stops listening on the port of this key, on which visitors wait for an agent to come back. */
  letGo: (key: LeaseKey) => void;
  /** Whether visitors wait for this key. */
  isExpected: (key: LeaseKey) => boolean;
  clock: Clock;
}

export class LeaseDesk<Holder extends KeyHolder> {
  readonly #options: LeaseDeskOptions;
  readonly #holders = new Map<LeaseKey, {holder: Holder; epoch: number}>();

  constructor(options: LeaseDeskOptions) {
    this.#options = options;
  }

  holderOf(key: LeaseKey): Holder | undefined {
    return this.#holders.get(key)?.holder;
  }

  async claim(holder: Holder, key: LeaseKey, owner: string, claimant?: Claimant): Promise<ClaimResult> {
    const {leases, letGo, clock} = this.#options;
    const claim = await leases.claim(key, owner, claimant);
    if (!claim.ok) return claim;
    if (!holder.isUp) {
      await leases.release(key, claim.epoch);
      return claim;
    }
    const before = this.#holders.get(key);
    // The store's answers may come in another order than its decisions; the worker with this one loses at once.
    if (before !== undefined && before.epoch > claim.epoch) {
      void lose(holder, key, claim.epoch);
      return claim;
    }
    this.#holders.set(key, {holder, epoch: claim.epoch});
    const isPort = key.startsWith('tcp:');
    if (isPort) letGo(key);
    if (before === undefined || before.holder === holder) return claim;
    const lost = lose(before.holder, key, before.epoch);
    if (isPort) await atMost(clock, LOSE_MS, lost);
    return {...claim, takeover: true};
  }

  async release(key: LeaseKey, epoch: number): Promise<undefined> {
    if (this.#holders.get(key)?.epoch === epoch) this.#holders.delete(key);
    await this.#options.leases.release(key, epoch);
    return undefined;
  }

  ownerOf(key: LeaseKey): Promise<string | undefined> {
    return this.#options.leases.ownerOf(key);
  }

  freePorts(ports: readonly number[]): Promise<number[]> {
    return this.#options.leases.freePorts(ports);
  }

  /** Whether another worker than this one has the key, or visitors wait for it here. */
  isElsewhere(key: LeaseKey, asker: Holder): boolean {
    const holder = this.holderOf(key);
    return holder === undefined ? this.#options.isExpected(key) : holder !== asker;
  }

  async isInUseElsewhere(key: LeaseKey, asker: Holder): Promise<boolean> {
    const holder = this.holderOf(key);
    if (holder === undefined || holder === asker) return false;
    // A worker that does not answer serves no visitors either.
    let isInUse = false;
    const answer = holder.hasInUse(key).then(
      (is) => {
        isInUse = is;
      },
      () => {},
    );
    await atMost(this.#options.clock, ANSWER_MS, answer);
    return isInUse;
  }

  /** The worker is gone. Its keys stay with their owners for the grace period. Returns them. */
  left(holder: Holder): LeaseKey[] {
    const keys: LeaseKey[] = [];
    for (const [key, held] of this.#holders) {
      if (held.holder !== holder) continue;
      keys.push(key);
      this.#holders.delete(key);
      void this.#options.leases.release(key, held.epoch);
    }
    return keys;
  }
}

const lose = (holder: KeyHolder, key: LeaseKey, epoch: number): Promise<unknown> =>
  holder.lose(key, epoch).catch(() => {});

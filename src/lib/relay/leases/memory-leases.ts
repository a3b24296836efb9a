// The lease table in memory.

import type {RelaySettings} from '../settings.js';
import {
  type Claimant,
  type ClaimResult,
  type Lease,
  type LeaseKey,
  type LeaseLimits,
  type LeaseRow,
  type LeaseStore,
  MAX_LEASES,
} from './lease-store.js';

export interface MemoryLeasesOptions extends LeaseLimits {
  /** Wall clock, ms: leases outlive the process that wrote them. */
  wallClock?: () => number;
  /** Called after every change, with the key whose lease has changed or is gone. An expired lease is not reported. */
  onChange?: (key: LeaseKey) => void;
}

/** An agent may know a higher epoch than a relay that lost its table, but not one that leaves no room to grow. */
const MOST_CLAIMED = 2 ** 52;

/** The leases of one owner. */
interface OwnerLeases {
  held: number;
  /** Released and not expired yet, the oldest first. */
  readonly kept: Map<LeaseKey, Lease>;
}

export class MemoryLeases implements LeaseStore {
  /** The previous process is unknown. */
  readonly expected: readonly LeaseKey[] = [];
  readonly #leases = new Map<LeaseKey, Lease>();
  /** Released leases. They expire in the order of their release, except when the grace period has changed between them. */
  readonly #kept = new Map<LeaseKey, Lease>();
  readonly #byOwner = new Map<string, OwnerLeases>();
  #graceMs: number;
  #maxLeasesPerOwner: number;
  readonly #maxLeases: number;
  readonly #wallClock: () => number;
  readonly #onChange: (key: LeaseKey) => void;

  constructor(options: MemoryLeasesOptions) {
    this.#graceMs = options.graceMs;
    this.#maxLeasesPerOwner = options.maxLeasesPerOwner ?? Number.POSITIVE_INFINITY;
    this.#maxLeases = options.maxLeases ?? MAX_LEASES;
    this.#wallClock = options.wallClock ?? Date.now;
    this.#onChange = options.onChange ?? (() => {});
  }

  /** Leases that were released already keep their time. Those beyond a smaller limit go when their owner claims another one. */
  reload({leaseGraceMs, maxLeasesPerOwner}: Pick<RelaySettings, 'leaseGraceMs' | 'maxLeasesPerOwner'>): void {
    this.#graceMs = leaseGraceMs;
    this.#maxLeasesPerOwner = maxLeasesPerOwner;
  }

  get size(): number {
    return this.#leases.size;
  }

  claim(key: LeaseKey, owner: string, claimant: Claimant = {}): Promise<ClaimResult> {
    return Promise.resolve(this.#claim(key, owner, claimant));
  }

  release(key: LeaseKey, epoch: number): Promise<void> {
    const lease = this.#leases.get(key);
    if (lease?.epoch === epoch) {
      this.#put(key, {...lease, expiresAt: this.#wallClock() + this.#graceMs});
      this.#onChange(key);
      this.#sweep();
    }
    return Promise.resolve();
  }

  ownerOf(key: LeaseKey): Promise<string | undefined> {
    return Promise.resolve(this.#live(key)?.owner);
  }

  freePorts(ports: readonly number[]): Promise<number[]> {
    return Promise.resolve(ports.filter((port) => this.#live(`tcp:${port}`) === undefined));
  }

  /** The current lease; undefined when there is none. */
  lease(key: LeaseKey): Lease | undefined {
    return this.#leases.get(key);
  }

  /** All leases: a restarted relay begins with them. */
  rows(): LeaseRow[] {
    this.#sweep();
    return [...this.#leases];
  }

  #claim(key: LeaseKey, owner: string, claimant: Claimant): ClaimResult {
    const {holder, epoch: had, withinShare = false, mostOfOwner, mustBeFree = false} = claimant;
    const live = this.#live(key);
    if (live !== undefined && (live.owner !== owner || mustBeFree)) return {ok: false, reason: 'taken'};
    // A lost answer has raised the epoch as well, so the same holder may come with the older epoch.
    if (had !== undefined && live !== undefined && live.epoch > had && live.holder !== holder) {
      return {ok: false, reason: 'superseded'};
    }
    const claimed = had !== undefined && had <= MOST_CLAIMED ? had : 0;
    const epoch = Math.max(this.#leases.get(key)?.epoch ?? 0, claimed) + 1;
    this.#sweep();
    const full = live === undefined ? this.#makeRoom(owner, {withinShare, mostOfOwner}) : undefined;
    if (full !== undefined) return {ok: false, reason: full};
    this.#put(key, {owner, epoch, expiresAt: undefined, holder});
    this.#onChange(key);
    return {ok: true, epoch};
  }

  /** Makes room for one more lease of this owner. Leases of other owners stay: nobody may lose a name to others early. */
  #makeRoom(
    owner: string,
    {
      withinShare,
      mostOfOwner = Number.POSITIVE_INFINITY,
    }: {withinShare: boolean; mostOfOwner: number | undefined},
  ): 'owner-full' | 'owner-limit' | 'full' | undefined {
    const ofOwner = this.#byOwner.get(owner);
    const has = ofOwner === undefined ? 0 : ofOwner.held + ofOwner.kept.size;
    const most = Math.min(this.#maxLeasesPerOwner, mostOfOwner);
    if (has < most && this.#leases.size < this.#maxLeases) return undefined;
    const [oldest] = ofOwner?.kept.keys() ?? [];
    if (oldest !== undefined) {
      this.#drop(oldest);
      return undefined;
    }
    if (this.#leases.size >= this.#maxLeases) return 'full';
    if (has >= mostOfOwner) return 'owner-limit';
    return withinShare ? undefined : 'owner-full';
  }

  #live(key: LeaseKey): Lease | undefined {
    const lease = this.#leases.get(key);
    if (lease?.expiresAt !== undefined && lease.expiresAt <= this.#wallClock()) return undefined;
    return lease;
  }

  /** Takes over the leases of an earlier process. */
  begin(initial: Iterable<LeaseRow>): void {
    // In use by an agent of the previous process: the grace period begins now. A later end comes from a clock that was wrong
    // or from a longer grace period.
    const graceEnds = this.#wallClock() + this.#graceMs;
    const ends = ({expiresAt}: Lease) => Math.min(expiresAt ?? graceEnds, graceEnds);
    const rows = [...initial].sort(([, one], [, other]) => ends(one) - ends(other));
    for (const [key, lease] of rows) this.#put(key, {...lease, expiresAt: ends(lease)});
    for (const {kept} of this.#byOwner.values()) {
      for (const key of kept.keys()) {
        if (kept.size <= this.#maxLeasesPerOwner && this.#leases.size <= this.#maxLeases) break;
        this.#take(key);
      }
    }
  }

  #put(key: LeaseKey, lease: Lease): void {
    this.#take(key);
    let ofOwner = this.#byOwner.get(lease.owner);
    if (ofOwner === undefined) {
      ofOwner = {held: 0, kept: new Map()};
      this.#byOwner.set(lease.owner, ofOwner);
    }
    this.#leases.set(key, lease);
    if (lease.expiresAt === undefined) ofOwner.held += 1;
    else {
      ofOwner.kept.set(key, lease);
      this.#kept.set(key, lease);
    }
  }

  #take(key: LeaseKey): void {
    const lease = this.#leases.get(key);
    if (lease === undefined) return;
    this.#leases.delete(key);
    const ofOwner = this.#byOwner.get(lease.owner);
    if (ofOwner === undefined) return;
    if (lease.expiresAt === undefined) ofOwner.held -= 1;
    else {
      ofOwner.kept.delete(key);
      this.#kept.delete(key);
    }
    if (ofOwner.held === 0 && ofOwner.kept.size === 0) this.#byOwner.delete(lease.owner);
  }

  #drop(key: LeaseKey): void {
    this.#take(key);
    this.#onChange(key);
  }

  /** Changes also remove old leases, so that the table does not grow for ever. Stops at the first one that has not expired. */
  #sweep(): void {
    const now = this.#wallClock();
    for (const [key, {expiresAt = 0}] of this.#kept) {
      if (expiresAt > now) break;
      this.#take(key);
    }
  }
}

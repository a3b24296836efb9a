// Who may have which public name or port: leases. In memory here, behind an interface that a shared store can implement too.

/** `tls:demo` or `tcp:20417`. Names are data of strangers: they are keys of Maps, never of objects. */
export type LeaseKey = `tls:${string}` | `tcp:${number}`;

export interface Lease {
  /** Whom it belongs to: a hash, never a token. */
  owner: string;
  /** Grows with each claim; whoever acts on an older one is refused. */
  epoch: number;
  /** When it ends, ms of wall clock; undefined while it is held. */
  expiresAt: number | undefined;
  /** Which agent claimed it last; undefined when it did not say. */
  holder?: string | undefined;
}

/** The agent behind a claim. */
export interface Claimant {
  /** Unlike any other agent's, also of the same owner; the same for all its sessions. */
  holder?: string | undefined;
  /** The epoch under which it had the key: it wants it back, not over. */
  epoch?: number | undefined;
}

/** `superseded`: the claimant had it once, and another agent of the same owner has claimed it since. */
export type ClaimResult = {ok: true; epoch: number} | {ok: false; reason: 'taken' | 'superseded'};

export interface Registry {
  /** Takes the key for `owner`: free, expired, or theirs already (a takeover). Compare-and-set: of two at once one wins. */
  claim(key: LeaseKey, owner: string, claimant?: Claimant): Promise<ClaimResult>;
  /** The holder is gone; the key stays its owner's for the grace period. Nothing happens when `epoch` is not the current one. */
  release(key: LeaseKey, epoch: number): Promise<void>;
  /** Whether somebody has it, held or leased. */
  isTaken(key: LeaseKey, byOtherThan?: string): boolean;
}

export interface MemoryRegistryOptions {
  graceMs: number;
  /** Wall clock, ms: leases outlive the process that wrote them. */
  wallClock?: () => number;
  /** Leases of an earlier process. */
  initial?: Iterable<readonly [LeaseKey, Lease]>;
  /** Called after every change, with what is to be kept. */
  onChange?: () => void;
}

/** An agent may know a higher epoch than a relay that lost its table, but none from which it could not grow any more. */
const MOST_CLAIMED = 2 ** 52;

export class MemoryRegistry implements Registry {
  readonly #leases = new Map<LeaseKey, Lease>();
  readonly #graceMs: number;
  readonly #wallClock: () => number;
  readonly #onChange: () => void;

  constructor(options: MemoryRegistryOptions) {
    this.#graceMs = options.graceMs;
    this.#wallClock = options.wallClock ?? Date.now;
    this.#onChange = options.onChange ?? (() => {});
    const graceEnds = this.#wallClock() + this.#graceMs;
    for (const [key, lease] of options.initial ?? []) {
      // Held by an agent of the last process: the grace period begins now.
      this.#leases.set(key, {...lease, expiresAt: lease.expiresAt ?? graceEnds});
    }
  }

  claim(key: LeaseKey, owner: string, {holder, epoch: had}: Claimant = {}): Promise<ClaimResult> {
    const lease = this.#live(key);
    if (lease !== undefined && lease.owner !== owner) return Promise.resolve({ok: false, reason: 'taken'});
    // An answer that was lost with its link has raised the epoch, too: that was the same holder.
    if (had !== undefined && lease !== undefined && lease.epoch > had && lease.holder !== holder) {
      return Promise.resolve({ok: false, reason: 'superseded'});
    }
    const claimed = had !== undefined && had <= MOST_CLAIMED ? had : 0;
    const epoch = Math.max(this.#leases.get(key)?.epoch ?? 0, claimed) + 1;
    this.#leases.set(key, {owner, epoch, expiresAt: undefined, holder});
    this.#onChange();
    return Promise.resolve({ok: true, epoch});
  }

  release(key: LeaseKey, epoch: number): Promise<void> {
    const lease = this.#leases.get(key);
    if (lease?.epoch === epoch) {
      lease.expiresAt = this.#wallClock() + this.#graceMs;
      this.#sweep();
      this.#onChange();
    }
    return Promise.resolve();
  }

  isTaken(key: LeaseKey, byOtherThan?: string): boolean {
    const lease = this.#live(key);
    return lease !== undefined && lease.owner !== byOtherThan;
  }

  /** All leases: what a restarted relay begins with. */
  snapshot(): Array<readonly [LeaseKey, Lease]> {
    this.#sweep();
    return [...this.#leases];
  }

  #live(key: LeaseKey): Lease | undefined {
    const lease = this.#leases.get(key);
    if (lease?.expiresAt !== undefined && lease.expiresAt <= this.#wallClock()) return undefined;
    return lease;
  }

  /** Old leases go when others change, so that the table does not grow for ever. */
  #sweep(): void {
    const now = this.#wallClock();
    for (const [key, lease] of this.#leases) {
      if (lease.expiresAt !== undefined && lease.expiresAt <= now) this.#leases.delete(key);
    }
  }
}

// Leases: the right of an owner to a public name or port. Whoever keeps them has this interface.

import type {Part} from '../part.js';

/** `tls:demo` or `tcp:20417`. Names are input of strangers, so they are keys of Maps, never of objects. */
export type LeaseKey = `tls:${string}` | `tcp:${number}`;

export interface Lease {
  /** The owner: a hash, never a token. */
  owner: string;
  /** Grows with each claim. An action with an older epoch is refused. */
  epoch: number;
  /** The end of the lease, ms of wall clock; undefined while it is held. */
  expiresAt: number | undefined;
  /** The agent that claimed it last; undefined when the agent sent no mark. */
  holder?: string | undefined;
}

export type LeaseRow = readonly [LeaseKey, Lease];

/** The agent behind a claim. */
export interface Claimant {
  /** A mark of this agent alone, the same in all its sessions. */
  holder?: string | undefined;
  /** The epoch under which the agent had the key: it wants the key back, not a takeover. */
  epoch?: number | undefined;
  /** The agent holds no more than its share, so the owner's limit does not apply to it. */
  withinShare?: boolean;
  /** The agent wants the key by chance: it must not take over what its owner has already. */
  mustBeFree?: boolean;
}

/**
 * `superseded`: the claimant had it once, and another agent of the same owner has claimed it since. `owner-full`: its owner
 * holds as many as one may. `full`: there are as many leases as there may be.
 */
export type ClaimResult =
  | {ok: true; epoch: number}
  | {ok: false; reason: 'taken' | 'superseded' | 'owner-full' | 'full'};

export interface LeaseStore extends Part {
  /** Held by agents of the last process, which are expected back. Known from the start on. */
  readonly expected: readonly LeaseKey[];
  /** Takes the key for `owner`: free, expired, or theirs already (a takeover). Compare-and-set: of two at once one wins. */
  claim(key: LeaseKey, owner: string, claimant?: Claimant): Promise<ClaimResult>;
  /** The holder is gone; the key stays its owner's for the grace period. Nothing happens when `epoch` is not the current one. */
  release(key: LeaseKey, epoch: number): Promise<void>;
  /** Who has the key, held or leased; undefined: it is free. Only a claim is sure, because others may claim it meanwhile. */
  ownerOf(key: LeaseKey): Promise<string | undefined>;
}

export interface LeaseLimits {
  graceMs: number;
  /** Leases of one owner, held and kept; beyond it the oldest kept ones go first. Default: no bound besides `maxLeases`. */
  maxLeasesPerOwner?: number;
  /** Leases of all owners. Default 100,000: about 30 MiB. */
  maxLeases?: number;
}

export const MAX_LEASES = 100_000;

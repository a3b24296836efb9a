// Leases: the right of an owner to a public name or port. Every store of leases has this interface.

import type {Part} from '../part.js';

/** `tls:demo` or `tcp:20417`. Names are input of strangers, so they are keys of Maps, never of objects. */
export type LeaseKey = `tls:${string}` | `tcp:${number}`;

export interface Lease {
  /** The owner: a hash, never a token. */
  owner: string;
  /** Grows with each claim. An action with an older epoch is refused. */
  epoch: number;
  /** The end of the lease, ms of wall clock; undefined while it is in use. */
  expiresAt: number | undefined;
  /** The agent that claimed it last; undefined when the agent sent no `holder`. */
  holder?: string | undefined;
}

export type LeaseRow = readonly [LeaseKey, Lease];

/** The agent behind a claim. */
export interface Claimant {
  /** Identifies this agent, the same in all its sessions. */
  holder?: string | undefined;
  /** The epoch under which the agent had the key: it wants the key back, not a takeover. */
  epoch?: number | undefined;
  /** The agent has no more than its share, so the owner's limit does not apply to it. */
  withinShare?: boolean;
  /** The most leases that its owner may have, by its token. The share of an agent does not go beyond it. */
  mostOfOwner?: number;
  /** The key was chosen at random: it must not take over a tunnel of its own owner. */
  mustBeFree?: boolean;
}

/**
 * `takeover`: another process of this relay had it. `superseded`: the claimant had it once, and another agent of the same owner has claimed it since. `owner-full`: its owner
 * has reached its limit. `owner-limit`: the limit by its token. `full`: the table has reached its limit.
 */
export type ClaimResult =
  | {ok: true; epoch: number; takeover?: boolean}
  | {ok: false; reason: 'taken' | 'superseded' | 'owner-full' | 'owner-limit' | 'full'};

export interface LeaseStore extends Part {
  /** Keys in use by agents of the previous process, which are expected back. Known from the start. */
  readonly expected: readonly LeaseKey[];
  /**
   * Claims the key for `owner`, if it is free, expired, or belongs to that owner (a takeover). Compare-and-set: of two at
   * once one wins.
   */
  claim(key: LeaseKey, owner: string, claimant?: Claimant): Promise<ClaimResult>;
  /**
   * The holder is gone; the key stays with its owner for the grace period. Nothing happens when `epoch` is not the current
   * one.
   */
  release(key: LeaseKey, epoch: number): Promise<void>;
  /**
   * The owner of the key, in use or leased; undefined: it is free. Only a claim is certain, because others may claim it
   * meanwhile.
   */
  ownerOf(key: LeaseKey): Promise<string | undefined>;
  /** The TCP ports among these that are free, in the same order. As certain as `ownerOf`. */
  freePorts(ports: readonly number[]): Promise<number[]>;
}

export interface LeaseLimits {
  graceMs: number;
  /** Leases of one owner, in use and released; beyond this the oldest released ones are dropped. Default: only `maxLeases`. */
  maxLeasesPerOwner?: number;
  /** Leases of all owners. Default 100,000: about 30 MiB. */
  maxLeases?: number;
}

export const MAX_LEASES = 100_000;

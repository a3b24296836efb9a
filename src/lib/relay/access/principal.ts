// The identity of an agent at this relay, proved by a token or by its own key, and what it may do now.

import {ALL_RIGHTS, type Rights} from './rights.js';

/** Limits of an owner or a token beside its rights. An absent one is the relay's own limit. */
export interface OwnerLimits {
  /** Tunnels at once. */
  readonly maxTunnels?: number;
  /** Visitors' connections at once. */
  readonly maxConnections?: number;
  /** New connections of visitors a second. */
  readonly connectionsPerSecond?: number;
  /** Bytes of visitors a second, both directions together. */
  readonly bytesPerSecond?: number;
  /** Streams that its agents open, at once. */
  readonly maxStreams?: number;
}

/** The token of a session has ended. */
export type TokenEnd = 'TOKEN_REVOKED' | 'TOKEN_EXPIRED';

/**
 * `rights`, `limits` and `ended` are those of the current record: read them at each use and keep no copy, because an operator
 * can change them while a session lives.
 */
export interface Principal {
  /**
   * The owner of its leases. The name that an operator or an issuer gives has no colon; `token:…` and `key:…` are hashes of
   * the relay's single token and of an agent's key. Never the token or key itself.
   */
  readonly owner: string;
  /** The id of the agent's own key; undefined when it has not proved one. */
  readonly keyId: string | undefined;
  /** The id of the token in the registry or at the issuer. It is no secret. Undefined: the single token, or a key. */
  readonly tokenId: string | undefined;
  readonly rights: Rights;
  readonly limits: OwnerLimits;
  /** The end of the token, ms since 1970. Undefined: it has none. */
  readonly expiresAt?: number | undefined;
  /** Why the session has to end now; undefined: it may go on. */
  readonly ended: TokenEnd | undefined;
}

/** An owner with all rights: the holder of the single token, or of a key at a relay without tokens. */
export function unlimitedPrincipal(owner: string, keyId?: string): Principal {
  return {owner, keyId, tokenId: undefined, rights: ALL_RIGHTS, limits: {}, ended: undefined};
}

/** The same principal, with the key that its agent has proved. What can change is still read from the given one. */
export function withKey(principal: Principal, keyId: string | undefined): Principal {
  return {
    owner: principal.owner,
    keyId,
    tokenId: principal.tokenId,
    get rights() {
      return principal.rights;
    },
    get limits() {
      return principal.limits;
    },
    get expiresAt() {
      return principal.expiresAt;
    },
    get ended() {
      return principal.ended;
    },
  };
}

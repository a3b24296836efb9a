// The events of a relay, as values: for the log, an audit, a page for operators, and tests.

import type {ErrorCode} from '../core/errors.js';
import type {StreamCode} from '../protocol/wire.js';
import type {BlockedEntry} from './access/blocked.js';
import type {TokenEnd} from './access/principal.js';
import type {LeaseKey} from './leases/lease-store.js';
import type {Limit, LimitedBy} from './limits/limit-names.js';
import type {ProbeLeg} from './probe/probe-state.js';

/** Events that strangers can repeat: the first one is reported at once, later ones as a count. */
interface Repeated {
  /** The address; undefined: the sum of many addresses. */
  from?: string;
  /** How often since the last such event, if more than once. */
  times?: number;
}

/** `tokenId` is undefined for the single token of the relay, and for keys. */
interface Whose {
  owner: string;
  tokenId: string | undefined;
}

/** The wish of an agent. */
interface EgressTarget {
  egress: string;
  host: string;
  port: number;
  /** A flow of datagrams, and no connection. */
  udp?: true;
}

/** `session` is the beginning of the session's id, the same in all events about it. No field is a secret. */
export type RelayEvent =
  | ({type: 'agent-connected'; session: string; from: string} & Whose)
  /** The link is lost; the session waits for another one. */
  | {type: 'agent-away'; session: string; reason: string | undefined}
  | {type: 'agent-resumed'; session: string; epoch: number}
  | {type: 'agent-gone'; session: string; code: ErrorCode | undefined}
  /** The handshake led to no session. */
  | {type: 'handshake-failed'; from: string; reason: string | undefined}
  | ({type: 'tunnel-bound'; session: string; key: LeaseKey; epoch: number; takeover: boolean} & Whose)
  /** Another agent of the same owner has taken over the tunnel. */
  | {type: 'tunnel-lost'; session: string; key: LeaseKey; epoch: number}
  /** The agent gave the tunnel up, or is gone. */
  | {type: 'tunnel-released'; session: string; key: LeaseKey; epoch: number}
  | ({type: 'bind-refused'; session: string; code: ErrorCode; wish: string} & Whose)
  /** A member of a private network or cluster: `net:lab`, `cluster:train`. */
  | ({type: 'member-joined'; session: string; network: string; name: string; address: string} & Whose)
  | {type: 'member-left'; session: string; network: string; name: string; code: StreamCode | undefined}
  /** `name` is empty for a stream that would only have watched. */
  | ({type: 'member-refused'; session: string; code: StreamCode; network: string; name: string} & Whose)
  /** The token of a session has ended, and the session with it. */
  | ({type: 'token-ended'; session: string; code: TokenEnd} & Whose)
  /** The token does not allow a tunnel any more that its agent has. */
  | ({type: 'tunnel-withdrawn'; session: string; key: LeaseKey; epoch: number} & Whose)
  /** A visitor of this name does not trust the certificate. Strangers can repeat it. */
  | {type: 'certificate-refused'; host: string; from: string}
  /** A visitor of this name may not trust the certificate: it left at once and gave no reason. Strangers can repeat it. */
  | {type: 'visitor-left-at-once'; host: string; from: string}
  /** A visitor of this name offers only an HTTP protocol that the tunnel does not have. Strangers can repeat it. */
  | {type: 'protocol-refused'; host: string; from: string; offered: string}
  /** The tunnel does not take visitors from this address. Strangers can repeat it. */
  | {type: 'address-refused'; host: string; from: string}
  /** The given certificate has expired while the relay runs. */
  | {type: 'certificate-expired'; certFile: string; validTo: string}
  /** The relay does not reach its own tunnel through its public name. Only changes are told. `ready`: see ProbeState. */
  | {type: 'probe-failed'; leg: ProbeLeg; reason: string; ready: boolean}
  /** It reaches its own tunnel again. */
  | {type: 'probe-recovered'; failedForMs: number}
  /** Settings were read again: those with a new value, and those whose new value needs a restart. */
  | {type: 'reloaded'; changed: readonly string[]; needRestart: readonly string[]}
  /** Settings were read again and cannot be used, so nothing has changed. */
  | {type: 'reload-failed'; code: ErrorCode; reason: string}
  /** The keys of an issuer of identities cannot be fetched. The last ones count for a day. */
  | {type: 'issuer-away'; issuer: string; reason: string}
  | {type: 'issuer-back'; issuer: string}
  /** The operator has ended sessions, or one tunnel. */
  | {type: 'kicked'; what: 'session' | 'owner' | 'name'; subject: string; count: number}
  /** The operator has changed the list of what is blocked. */
  | {type: 'blocked' | 'unblocked'; what: BlockedEntry['what']; subject: string}
  /** The operator wants the relay to end in order. */
  | {type: 'drain-requested'}
  /** A worker process has ended without being asked. Another one takes its place. */
  | {type: 'worker-ended'; worker: number; code?: number | null; signal?: string; waitMs: number}
  /** A connection by egress is made. `address`: the one that was dialled. `source`: the address of this machine. */
  | ({type: 'egress-opened'; session: string; address: string; source: string} & EgressTarget & Whose)
  /** It is over. `bytesIn`: from the destination. `code`: why, if not in order. */
  | ({
      type: 'egress-closed';
      session: string;
      address: string;
      source: string;
      ms: number;
      bytesIn: number;
      bytesOut: number;
      code: StreamCode | undefined;
    } & EgressTarget &
      Whose)
  | ({type: 'egress-refused'; session: string; code: StreamCode; reason: string} & EgressTarget & Whose)
  /** An address of an egress is not of this machine any more. Connections leave from the other ones, if there are any. */
  | {type: 'egress-address-lost'; address: string; egress: string; code: string}
  | {type: 'egress-address-back'; address: string; egress: string}
  /** A limit is reached: what comes beyond it is refused. `of`: the owner, tunnel or address. Strangers can repeat it. */
  | {type: 'limit-reached'; limit: Limit; by: LimitedBy; of?: string; times?: number}
  /** The tokens of the registry were read again. */
  | {type: 'tokens-read'; path: string; tokens: number}
  /** Their file cannot be used: the tokens stay as they were. */
  | {type: 'tokens-unreadable'; path: string; reason: string}
  /** A token is right, and was revoked or has expired. */
  | ({type: 'login-refused'; code: ErrorCode; from: string; times?: number} & Whose)
  /** A token is missing or not known. */
  /** An identity of an issuer has a token of the registry now, or goes on with the one that it had. */
  | {type: 'logged-in'; owner: string; tokenId: string; issuer: string; from: string; renewed: boolean}
  /** Its token could not be stored. */
  | {type: 'login-failed'; owner: string; reason: string}
  | {type: 'logged-out'; owner: string; tokenId: string | undefined; from: string}
  | ({type: 'token-refused'} & Repeated)
  /**
   * `failures`: too many connections of this source failed. `no-room`: no descriptors or memory are left. `blocked`: the
   * operator has blocked the address.
   */
  | ({type: 'turned-away'; because: 'failures' | 'no-room' | 'blocked'} & Repeated);

/** The name of a session in events. */
export const sessionName = (id: string): string => id.slice(0, 8);

/**
 * Called in the middle of the action: it must not wait, and must not change the relay.
 *
 * @param worker the worker process in which it happened; undefined: in this process.
 */
export type RelayListener = (event: RelayEvent, worker?: number) => void;

export class RelayEvents {
  readonly #listeners: RelayListener[] = [];
  readonly #onFailed: (error: unknown) => void;

  /** @param onFailed a listener has thrown. The others get the event nevertheless. */
  constructor(onFailed: (error: unknown) => void) {
    this.#onFailed = onFailed;
  }

  listen(listener: RelayListener): void {
    this.#listeners.push(listener);
  }

  emit(event: RelayEvent, worker?: number): void {
    for (const listener of this.#listeners) {
      try {
        listener(event, worker);
      } catch (error) {
        this.#onFailed(error);
      }
    }
  }
}

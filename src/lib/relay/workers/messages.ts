// Messages between the first process of a relay and a worker. Both are of one version, so they are not checked.

import type {ErrorCode} from '../../core/errors.js';
import type {LogRecord} from '../../core/logger.js';
import type {RendezvousPlace} from '../../protocol/rendezvous.js';
import type {BlockedEntry} from '../access/blocked.js';
import type {EgressStatus, EndReason, MemberTraffic, ProcessCounts, SessionReport} from '../admin/report.js';
import type {Peer} from '../doors/peer.js';
import type {Limit, Noted} from '../doors/pending.js';
import type {RelayEvent} from '../events.js';
import type {Claimant, ClaimResult, LeaseKey} from '../leases/lease-store.js';
import type {CountRow} from '../limits/counts-of-workers.js';
import type {MemberPlace} from '../networks/desk.js';
import type {JoinAnswer, MemberAsked, NetworkRefusal} from '../networks/network-desk.js';
import type {RelayStats} from '../options.js';
import type {ProbeState} from '../probe/probe-state.js';
import type {RelaySettings} from '../settings.js';

/** Where a socket that is handed over belongs. */
export type Destination =
  | {to: 'own'; name: string; alpn: readonly string[]}
  | {to: 'tunnel'; label: string; name: string; alpn: readonly string[]}
  | ({to: 'rendezvous'; name: string} & RendezvousPlace)
  | {to: 'port'; port: number};

/** Comes with a socket. */
export type HandedOver = Destination & {
  type: 'socket';
  /** Read at the accept, because a connection has no address after a reset. */
  peer: Peer | undefined;
  /** The time since the accept, ms. */
  ageMs: number;
  /** The bytes that were read already, in base64. */
  head: string;
};

/** Messages in both directions, so that all processes know the same about sources. */
export type SharedMessage =
  | {type: 'spent'; limit: Limit; source: string; cost: number}
  | {type: 'proved'; source: string};

export type ToWorker =
  | SharedMessage
  | HandedOver
  | Begin
  /** The port of the relay, which workers need for public addresses. Comes before the first socket. */
  | {type: 'listening'; host: string; port: number}
  /** The sessions that owners have in the other workers. One message, because a worker that ends may have had very many. */
  | {type: 'elsewhere'; counts: readonly (readonly [owner: string, count: number])[]}
  /** The visitors of owners and addresses in the other workers. */
  | {type: 'visitors-elsewhere'; counts: readonly CountRow[]}
  /** The members of a network, as a line for each of them. */
  | {type: 'roster'; network: string; line: string}
  /** The key of this member has joined again. */
  | {type: 'member-replaced'; member: number}
  /** The numbers of all workers that are up. */
  | {type: 'crew'; numbers: readonly number[]}
  | {type: 'end'; drainTimeoutMs: number};

export interface Begin {
  type: 'begin';
  number: number;
  workers: number;
  settings: Omit<RelaySettings, 'log'>;
  /** In base64. */
  ticketSecret: string;
  /** In base64. */
  namesKey: string;
  /** Where workers reach each other. */
  peersFolder: string | undefined;
}

export type FromWorker =
  | SharedMessage
  | {type: 'ready'}
  | {type: 'failed'; code: ErrorCode; message: string; next: string | undefined}
  | {type: 'log'; record: LogRecord}
  | {type: 'event'; event: RelayEvent}
  | {type: 'stats'; stats: RelayStats}
  | {type: 'member-left'; member: number}
  | {type: 'member-state'; member: number; state: object}
  /** A stream that only watches a network has come or gone. */
  | {type: 'network-watched'; network: string; isWatched: boolean}
  | {type: 'probe'; state: ProbeState}
  | {type: 'noted'; what: Noted; address: string}
  /** Its visitors of owners and addresses. */
  | {type: 'visitor-counts'; counts: readonly CountRow[]}
  /** Its sessions of this owner. */
  | {type: 'sessions'; owner: string; count: number}
  /** A tunnel is bound, and its agent knows it. */
  | {type: 'bound'; key: LeaseKey}
  /** An agent of this source wants to resume a session of that worker. */
  | {type: 'strayed'; source: string; worker: number};

/** Questions of a worker: what it asks with, and the answer. */
export interface QuestionsOfWorker {
  claim: {about: {key: LeaseKey; owner: string; claimant: Claimant | undefined}; answer: ClaimResult};
  release: {about: {key: LeaseKey; epoch: number}; answer: undefined};
  ownerOf: {about: {key: LeaseKey}; answer: string | undefined};
  freePorts: {about: {ports: readonly number[]}; answer: number[]};
  inUse: {about: {key: LeaseKey}; answer: boolean};
  holds: {about: {key: LeaseKey}; answer: boolean};
  stats: {about: object; answer: RelayStats};
  /** The time until the owner may have a new connection by egress, ms. */
  takeEgress: {about: {owner: string}; answer: number};
  checkMember: {about: MemberAsked; answer: NetworkRefusal | undefined};
  joinMember: {about: MemberAsked; answer: JoinAnswer};
  findMember: {about: {network: string; name: string}; answer: MemberPlace | undefined};
}

/** Questions of the first process. */
export interface QuestionsToWorker {
  /** The answer comes when the worker does not listen on the port of the key any more. */
  lose: {about: {key: LeaseKey; epoch: number}; answer: undefined};
  inUse: {about: {key: LeaseKey}; answer: boolean};
  stats: {about: object; answer: RelayStats};
  counts: {about: object; answer: ProcessCounts};
  sessions: {about: {most: number}; answer: SessionReport[]};
  egresses: {about: object; answer: EgressStatus[]};
  memberTraffic: {about: {most: number}; answer: MemberTraffic[]};
  endSessions: {about: {names: readonly string[]; reason: EndReason}; answer: number};
  endTunnel: {about: {key: LeaseKey; reason: EndReason}; answer: number};
  /** The operator has changed the list of what is blocked. The answer is the number of sessions and tunnels that ended. */
  applyBlocks: {about: {entries: readonly BlockedEntry[]}; answer: number};
  reload: {about: {settings: Omit<RelaySettings, 'log'>}; answer: undefined};
}

// The place of a relay that is one worker of several: what other processes do for it, and what it does for them.

import type {HostPort} from '../../protocol/targets.js';
import type {LocalOperations} from '../admin/local-operations.js';
import type {SessionCounts} from '../agents/session-counts.js';
import type {WorkerPlace} from '../agents/worker-place.js';
import type {PendingConnections, SharedLimits} from '../doors/pending.js';
import type {SecureDoor} from '../doors/secure-door.js';
import type {TcpDoor} from '../doors/tcp-door.js';
import type {RelayEvent} from '../events.js';
import type {LeaseKey, LeaseStore} from '../leases/lease-store.js';
import type {CountRow} from '../limits/counts-of-workers.js';
import type {VisitorCounts} from '../limits/visitor-counts.js';
import type {Desk} from '../networks/desk.js';
import type {Networks} from '../networks/networks.js';
import type {RelayStats} from '../options.js';
import type {Part} from '../part.js';
import type {ProbeState} from '../probe/probe-state.js';
import type {Elsewhere} from '../tunnels/elsewhere.js';
import type {TunnelTable} from '../tunnels/tunnel-table.js';

export interface Seat extends WorkerPlace {
  /** The number of workers: each has this share of the relay's memory. */
  readonly workers: number;
  /** The first process listens. */
  readonly door: Part & {readonly address: HostPort};
  /** The same in all workers: a TLS session resumes although its tunnel has moved to another one. */
  readonly ticketSecret: Buffer;
  /** The same in all workers: each knows the random names of the others. */
  readonly namesKey: Buffer;
  readonly leases: LeaseStore;
  readonly elsewhere: Elsewhere;
  readonly limits: SharedLimits;
  readonly sessionCounts: SessionCounts;
  /** The visitors here and in the other workers. */
  readonly visitorCounts: VisitorCounts;
  tellVisitorCounts(counts: readonly CountRow[]): void;
  /** Counts a new connection by egress. Resolves with the time until the owner may have it, ms. */
  takeEgress(this: void, owner: string): Promise<number>;
  /** The rosters of all networks. */
  readonly networkDesk: Desk;
  /** The private folder in which workers reach each other. Undefined: they cannot. */
  readonly peersFolder: string | undefined;
  /** The counts of all workers. */
  statsOfAll(): Promise<RelayStats>;
  /** An agent of this source wants to resume a session of that worker. */
  onStrayed(source: string, worker: number): void;
  onBound(key: LeaseKey): void;
  /** The first process logs the events of all workers, and tells their listeners. */
  onEvent(event: RelayEvent): void;
  /** The last probe of this worker's own tunnel. */
  onProbe(state: ProbeState): void;
  /** The number of visitors has changed. */
  onCount(): void;
  /** The parts that take what the first process hands over. Called before they start. */
  onMade(parts: WorkerParts): void;
}

export interface WorkerParts {
  pending: PendingConnections;
  secureDoor: SecureDoor;
  tcpDoor: TcpDoor;
  tunnels: TunnelTable;
  networks: Networks;
  operations: LocalOperations;
  /** The counts of this worker. */
  stats(): RelayStats;
}

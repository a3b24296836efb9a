// The events of the commands that ask a running relay.

import type {EgressStatus, NetworkStatus, ProcessCounts} from '../relay/admin/report.js';

/** `tunl relay status`: the relay. */
export interface RelayStatusEvent {
  type: 'relay';
  url: string;
  domain: string;
  software: string;
  pid: number;
  state: 'running' | 'draining';
  /** ISO 8601. */
  startedAt: string;
  /** The numbers of its worker processes; empty for a relay of one process. */
  workers: readonly number[];
  /** `own-ca`: the end of the relay's own CA. */
  certificate: {kind: 'given' | 'own-ca'; expiresAt: string};
  counts: ProcessCounts;
  /** Refusals since the start, by reason. */
  refusals: Readonly<Record<string, number>>;
  /** The number of names, addresses and owners that are blocked. */
  blocked: number;
  /** The last probe of the relay's own tunnel. */
  probe?: {ok: boolean; leg?: string; reason?: string; at: string};
}

/** `tunl relay status`: the session of an agent. */
export interface SessionEvent {
  type: 'session';
  /** The argument for `tunl relay kick`. */
  session: string;
  owner: string;
  tokenId?: string;
  /** The address of the agent. */
  from: string;
  /** As the agent says. */
  software: string;
  forMs: number;
  /** Absent while it has a link. */
  awayMs?: number;
  tunnels: readonly {
    key: string;
    address: string;
    forMs: number;
    visitors: number;
    visitorsTotal: number;
    bytesIn: number;
    bytesOut: number;
  }[];
  worker?: number;
}

/** `tunl relay status`: an egress of the relay. */
export interface RelayEgressEvent extends EgressStatus {
  type: 'relay-egress';
}

/** `tunl relay status`: a private network or a cluster, with its members. */
export interface RelayNetworkEvent extends NetworkStatus {
  type: 'relay-network';
}

/** `tunl relay kick`: sessions, or a tunnel, have ended. */
export interface KickedEvent {
  type: 'kicked';
  what: 'session' | 'owner' | 'name';
  subject: string;
  /** The number of sessions, or of tunnels. */
  ended: number;
}

/** `tunl relay block`: what is blocked. */
export interface BlockedEvent {
  type: 'blocked';
  state: 'added' | 'removed' | 'listed';
  what: 'name' | 'address' | 'owner';
  subject: string;
  /** ISO 8601. */
  since?: string;
  /** The number of sessions and tunnels that it has ended. */
  ended?: number;
}

/** `tunl relay drain`: the relay ends when its visitors have finished. */
export interface DrainsEvent {
  type: 'drains';
  pid: number;
  connections: number;
}

/** `tunl relay reload`: names of settings. */
export interface ReloadedEvent {
  type: 'reloaded';
  changed: readonly string[];
  needRestart: readonly string[];
}

export type RelayAdminEvent =
  | RelayStatusEvent
  | SessionEvent
  | RelayEgressEvent
  | RelayNetworkEvent
  | KickedEvent
  | BlockedEvent
  | DrainsEvent
  | ReloadedEvent;

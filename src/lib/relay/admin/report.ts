// Reports of a relay's processes to its operator: numbers for metrics, and lists for people.

import type {BlockedEntry} from '../access/blocked.js';
import type {LeaseKey} from '../leases/lease-store.js';

/** The numbers of one process. The totals count since its start. */
export interface ProcessCounts {
  agents: number;
  /** The agents without a link at the moment. */
  agentsAway: number;
  tunnels: number;
  visitors: number;
  visitorsTotal: number;
  /** The bytes from visitors to agents, and from agents to visitors. */
  bytesIn: number;
  bytesOut: number;
  /** Open connections by egress, and those since the start. */
  egress: number;
  egressTotal: number;
  /** The bytes from destinations to agents, and from agents to destinations. */
  egressBytesIn: number;
  egressBytesOut: number;
  /** Connections that have no rights yet. */
  pending: number;
  /** The memory of the process. */
  memoryBytes: number;
  /** The processor time of the process, in seconds. */
  cpuSeconds: number;
}

export const NO_COUNTS: Readonly<ProcessCounts> = {
  agents: 0,
  agentsAway: 0,
  tunnels: 0,
  visitors: 0,
  visitorsTotal: 0,
  bytesIn: 0,
  bytesOut: 0,
  egress: 0,
  egressTotal: 0,
  egressBytesIn: 0,
  egressBytesOut: 0,
  pending: 0,
  memoryBytes: 0,
  cpuSeconds: 0,
};

/** Those that only grow. */
export const TOTALS = [
  'visitorsTotal',
  'bytesIn',
  'bytesOut',
  'egressTotal',
  'egressBytesIn',
  'egressBytesOut',
  'cpuSeconds',
] as const satisfies readonly (keyof ProcessCounts)[];

export function sumOfCounts(all: Iterable<Readonly<ProcessCounts>>): ProcessCounts {
  const sum: ProcessCounts = {...NO_COUNTS};
  for (const counts of all)
    for (const name of Object.keys(sum) as (keyof ProcessCounts)[]) sum[name] += counts[name];
  return sum;
}

export interface TunnelReport {
  key: LeaseKey;
  /** For visitors: a URL without a path, or `HOST:PORT`. */
  address: string;
  /** ms since it was bound. */
  forMs: number;
  visitors: number;
  visitorsTotal: number;
  bytesIn: number;
  bytesOut: number;
}

export interface SessionReport {
  /** The name in events and in the log. */
  session: string;
  owner: string;
  /** The id of the token that it showed, if tokens have ids. */
  tokenId?: string;
  from: string;
  /** As the agent tells it: a stranger's text. */
  software: string;
  /** ms since it connected. */
  forMs: number;
  /** ms since it lost its link; absent while it has one. */
  awayMs?: number;
  tunnels: TunnelReport[];
  /** The process that has it, if there are several. */
  worker?: number;
}

/** All processes of a relay, for its operator. */
export interface Operations {
  /** One for each process that answers. */
  counts(): Promise<ProcessCounts>;
  /** At most so many, and how many there are. */
  sessions(most: number): Promise<SessionReport[]>;
  /** Ends these sessions, by their names. Resolves with their number. */
  endSessions(names: readonly string[], reason: EndReason): Promise<number>;
  /** Takes the tunnel with this key from its agent, and ends its visitors. */
  endTunnel(key: LeaseKey, reason: EndReason): Promise<number>;
  /** Takes the new list of what is blocked, and ends what it blocks. Resolves with the number of sessions and tunnels. */
  applyBlocks(entries: readonly BlockedEntry[]): Promise<number>;
}

export interface EndReason {
  code: 'KICKED' | 'BLOCKED';
  message: string;
}

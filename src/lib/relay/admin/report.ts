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
  /** Private networks and clusters that have a member or a watcher, and all their members. */
  networks: number;
  members: number;
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
  networks: 0,
  members: 0,
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

export interface EgressStatus {
  egress: string;
  /** `healthy`: connections can leave by it. */
  addresses: {address: string; healthy: boolean}[];
  /** Open connections, and flows of UDP. */
  connections: number;
  /** Whose they are: those with the most first. */
  owners: {owner: string; connections: number}[];
}

export interface NetworkStatus {
  /** `net:lab` or `cluster:train`. */
  network: string;
  members: {
    name: string;
    address: string;
    owner: string;
    /** The name of its session in events and in the log. */
    session: string;
    /** Whether other members can connect to it. */
    accepts: boolean;
    /** The bytes to it and from it that the relay has carried; members that reach each other directly send none of them. */
    bytesIn: number;
    bytesOut: number;
  }[];
}

/** The bytes of one member, as its process counts them. */
export interface MemberTraffic {
  network: string;
  name: string;
  bytesIn: number;
  bytesOut: number;
}

/** The owners that are told for an egress. */
const MOST_OWNERS = 1_000;

/** One row for each egress, from those of all processes: an address is healthy when all of them can use it. */
export function sumOfEgresses(all: Iterable<readonly EgressStatus[]>): EgressStatus[] {
  const sums = new Map<string, EgressStatus>();
  for (const each of [...all].flat()) {
    const sum = sums.get(each.egress);
    if (sum === undefined) sums.set(each.egress, structuredClone(each));
    else {
      sum.connections += each.connections;
      for (const {address, healthy} of each.addresses)
        for (const known of sum.addresses) if (known.address === address) known.healthy &&= healthy;
      for (const {owner, connections} of each.owners) {
        const known = sum.owners.find((other) => other.owner === owner);
        if (known === undefined) sum.owners.push({owner, connections});
        else known.connections += connections;
      }
    }
  }
  for (const sum of sums.values()) sum.owners = mostFirst(sum.owners);
  return [...sums.values()];
}

/** Adds the bytes that processes have counted to the members that the desk knows. */
export function withTraffic(
  networks: readonly NetworkStatus[],
  traffic: Iterable<MemberTraffic>,
): NetworkStatus[] {
  const all = structuredClone([...networks]);
  const keyOf = (network: string, name: string) => `${network} ${name}`;
  const members = new Map(
    all.flatMap(({network, members}) => members.map((member) => [keyOf(network, member.name), member])),
  );
  for (const {network, name, bytesIn, bytesOut} of traffic) {
    const member = members.get(keyOf(network, name));
    if (member === undefined) continue;
    member.bytesIn += bytesIn;
    member.bytesOut += bytesOut;
  }
  return all;
}

export function mostFirst<T extends {connections: number}>(owners: readonly T[]): T[] {
  return [...owners].sort((a, b) => b.connections - a.connections).slice(0, MOST_OWNERS);
}

/** All processes of a relay, for its operator. */
export interface Operations {
  /** One for each process that answers. */
  counts(): Promise<ProcessCounts>;
  /** At most so many, and how many there are. */
  sessions(most: number): Promise<SessionReport[]>;
  /** The egresses, with the health of their addresses. */
  egresses(): Promise<EgressStatus[]>;
  /** The private networks and clusters; at most so many members in all of them together. */
  networks(most: number): Promise<NetworkStatus[]>;
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

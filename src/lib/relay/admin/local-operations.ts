// The operator's view of this process, and actions in it.

import type {Clock} from '../../core/clock.js';
import {printable} from '../../core/one-line.js';
import {formatHostPort, publicUrl} from '../../protocol/targets.js';
import type {Blocked, BlockedEntry} from '../access/blocked.js';
import type {Agents} from '../agents/agents.js';
import {addressesOf, type Member} from '../agents/member.js';
import type {PendingConnections} from '../doors/pending.js';
import type {Egress} from '../egress/egress.js';
import {sessionName} from '../events.js';
import type {LeaseKey} from '../leases/lease-store.js';
import type {PrivateNetworks} from '../networks/private-networks.js';
import type {Tunnel, TunnelTable} from '../tunnels/tunnel-table.js';
import type {Visitors} from '../visitors/visitors.js';
import type {
  EgressStatus,
  EndReason,
  MemberTraffic,
  NetworkStatus,
  Operations,
  ProcessCounts,
  SessionReport,
  TunnelReport,
} from './report.js';

export interface LocalOperationsOptions {
  agents: Pick<Agents, 'members' | 'size' | 'end'>;
  tunnels: Pick<TunnelTable, 'size' | 'end' | 'all'>;
  visitors: Pick<Visitors, 'open' | 'totals' | 'byTunnel' | 'cut'>;
  egress: Pick<Egress, 'open' | 'totals' | 'status'>;
  networks: Pick<PrivateNetworks, 'counts' | 'status' | 'traffic'>;
  pending: Pick<PendingConnections, 'count' | 'endBlocked'>;
  blocked: Blocked;
  clock: Pick<Clock, 'now'>;
  /** The number of this process among several. */
  worker: number | undefined;
}

type Visits = ReturnType<Visitors['byTunnel']>;

export class LocalOperations implements Operations {
  readonly #options: LocalOperationsOptions;

  constructor(options: LocalOperationsOptions) {
    this.#options = options;
  }

  async counts(): Promise<ProcessCounts> {
    const {agents, tunnels, visitors, egress, networks, pending} = this.#options;
    let agentsAway = 0;
    for (const {session} of agents.members) if (session.detachedAt !== undefined) agentsAway += 1;
    const {visitors: visitorsTotal, bytesIn, bytesOut} = visitors.totals;
    return {
      ...{agents: agents.size, agentsAway, tunnels: tunnels.size},
      ...{visitors: visitors.open, visitorsTotal, bytesIn, bytesOut},
      egress: egress.open,
      egressTotal: egress.totals.connections,
      egressBytesIn: egress.totals.bytesIn,
      egressBytesOut: egress.totals.bytesOut,
      ...networks.counts,
      pending: pending.count,
      ...usage(),
    };
  }

  async sessions(most: number): Promise<SessionReport[]> {
    const visits = this.#options.visitors.byTunnel();
    const reports: SessionReport[] = [];
    for (const member of this.#options.agents.members) {
      if (reports.length >= most) break;
      reports.push(this.#report(member, visits));
    }
    return reports;
  }

  async egresses(): Promise<EgressStatus[]> {
    return this.#options.egress.status;
  }

  async networks(most: number): Promise<NetworkStatus[]> {
    return this.#options.networks.status(most);
  }

  /** For the first process, which has the networks. */
  memberTraffic(most: number): MemberTraffic[] {
    return this.#options.networks.traffic(most);
  }

  async endSessions(names: readonly string[], {code, message}: EndReason): Promise<number> {
    const wanted = new Set(names);
    return this.#options.agents.end(({ticket}) => wanted.has(sessionName(ticket.id)), code, message);
  }

  async endTunnel(key: LeaseKey, {code, message}: EndReason): Promise<number> {
    const {tunnels, visitors} = this.#options;
    const ended = await tunnels.end(key, code, message);
    if (ended === undefined) return 0;
    visitors.cut(({tunnel}) => tunnel === ended);
    return 1;
  }

  async applyBlocks(entries: readonly BlockedEntry[]): Promise<number> {
    const {agents, tunnels, visitors, pending, blocked: blocks} = this.#options;
    blocks.set(entries);
    pending.endBlocked();
    const why = (what: string) => `The operator has blocked this ${what}.`;
    let ended = agents.end(
      ({opener: {principal}}) => blocks.hasOwner(principal.owner),
      'BLOCKED',
      why('owner'),
    );
    // Its owner is not told the reason twice: a session that ended above is gone.
    const isFromBlocked = (member: Member) =>
      addressesOf(member).some((address) => blocks.hasAddress(address));
    ended += agents.end(isFromBlocked, 'BLOCKED', why('address'));
    for (const {key} of [...tunnels.all()])
      if (blocks.hasName(key)) ended += await this.endTunnel(key, {code: 'BLOCKED', message: why('name')});
    visitors.cut(({peer, tunnel}) => blocks.hasAddress(peer.address) || blocks.hasName(tunnel.key));
    return ended;
  }

  #report({opener, session, ticket, software, from, since, tunnels}: Member, visits: Visits): SessionReport {
    const {clock, worker} = this.#options;
    const now = clock.now();
    const {owner, tokenId} = opener.principal;
    const {detachedAt} = session;
    return {
      session: sessionName(ticket.id),
      owner,
      ...(tokenId !== undefined && {tokenId}),
      from,
      software: printable(software),
      forMs: Math.round(now - since),
      ...(detachedAt !== undefined && {awayMs: Math.round(now - detachedAt)}),
      tunnels: [...tunnels.values()].map((tunnel) => report(tunnel, visits.get(tunnel), now)),
      ...(worker !== undefined && {worker}),
    };
  }
}

function report(
  tunnel: Tunnel,
  visits: {open: number; bytesIn: number; bytesOut: number} | undefined,
  now: number,
): TunnelReport {
  const {key, host, port, since, traffic} = tunnel;
  return {
    key,
    address: key.startsWith('tls:') ? publicUrl(host, port) : formatHostPort(host, port),
    forMs: Math.round(now - since),
    visitors: visits?.open ?? 0,
    visitorsTotal: traffic.visitors,
    bytesIn: visits?.bytesIn ?? traffic.bytesIn,
    bytesOut: visits?.bytesOut ?? traffic.bytesOut,
  };
}

/** The memory and the processor time of this process. */
export function usage(): Pick<ProcessCounts, 'memoryBytes' | 'cpuSeconds'> {
  const {user, system} = process.cpuUsage();
  return {memoryBytes: process.memoryUsage.rss(), cpuSeconds: (user + system) / 1_000_000};
}

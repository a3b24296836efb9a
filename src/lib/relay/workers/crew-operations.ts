// The operator's view of all workers, and actions in them, through the first process.

import type {BlockedEntry} from '../access/blocked.js';
import {usage} from '../admin/local-operations.js';
import {
  type EgressStatus,
  type EndReason,
  type MemberTraffic,
  type NetworkStatus,
  NO_COUNTS,
  type Operations,
  type ProcessCounts,
  type SessionReport,
  sumOfCounts,
  sumOfEgresses,
  TOTALS,
  withTraffic,
} from '../admin/report.js';
import type {PendingConnections} from '../doors/pending.js';
import type {LeaseKey} from '../leases/lease-store.js';
import type {NetworkDesk} from '../networks/network-desk.js';
import type {Crew} from './crew.js';
import type {WorkerProcess} from './worker-process.js';

export interface CrewOperationsOptions {
  crew: Pick<Crew, 'askAll'>;
  pending: Pick<PendingConnections, 'count' | 'endBlocked'>;
  networks: Pick<NetworkDesk<WorkerProcess>, 'counts' | 'status'>;
}

export class CrewOperations implements Operations {
  readonly #crew: Pick<Crew, 'askAll'>;
  readonly #pending: CrewOperationsOptions['pending'];
  readonly #networks: Pick<NetworkDesk<WorkerProcess>, 'counts' | 'status'>;
  /** The last numbers of each worker. One that does not answer in time keeps them. */
  readonly #last = new Map<WorkerProcess, ProcessCounts>();
  /** The totals of workers that are gone, as of their last answer: a total must never become smaller. */
  #gone: ProcessCounts = {...NO_COUNTS};

  constructor({crew, pending, networks}: CrewOperationsOptions) {
    this.#crew = crew;
    this.#pending = pending;
    this.#networks = networks;
  }

  async counts(): Promise<ProcessCounts> {
    await this.#crew.askAll('counts', {}, (counts, worker) => this.#last.set(worker, counts));
    const own = {...NO_COUNTS, ...usage(), pending: this.#pending.count, ...this.#networks.counts};
    return sumOfCounts([own, this.#gone, ...this.#last.values()]);
  }

  async sessions(most: number): Promise<SessionReport[]> {
    const reports: SessionReport[] = [];
    await this.#crew.askAll('sessions', {most}, (some) => void reports.push(...some));
    // Rows of a list must not jump with each answer.
    return reports.sort((a, b) => (a.worker ?? 0) - (b.worker ?? 0)).slice(0, most);
  }

  async egresses(): Promise<EgressStatus[]> {
    const all: EgressStatus[][] = [];
    await this.#crew.askAll('egresses', {}, (some) => void all.push(some));
    return sumOfEgresses(all);
  }

  async networks(most: number): Promise<NetworkStatus[]> {
    const traffic: MemberTraffic[] = [];
    await this.#crew.askAll('memberTraffic', {most}, (some) => void traffic.push(...some));
    return withTraffic(this.#networks.status(most), traffic);
  }

  async endSessions(names: readonly string[], reason: EndReason): Promise<number> {
    let ended = 0;
    await this.#crew.askAll('endSessions', {names, reason}, (count) => {
      ended += count;
    });
    return ended;
  }

  async endTunnel(key: LeaseKey, reason: EndReason): Promise<number> {
    let ended = 0;
    await this.#crew.askAll('endTunnel', {key, reason}, (count) => {
      ended += count;
    });
    return ended;
  }

  /** This process has the new list already. */
  async applyBlocks(entries: readonly BlockedEntry[]): Promise<number> {
    this.#pending.endBlocked();
    let ended = 0;
    await this.#crew.askAll('applyBlocks', {entries}, (count) => {
      ended += count;
    });
    return ended;
  }

  /** The worker is gone. */
  left(worker: WorkerProcess): void {
    const last = this.#last.get(worker);
    this.#last.delete(worker);
    if (last !== undefined) for (const name of TOTALS) this.#gone[name] += last[name];
  }
}

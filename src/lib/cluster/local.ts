// A cluster whose members are all on this machine. It needs no relay.

import {setTimeout as wait} from 'node:timers/promises';
import {childEnv} from '../core/child-env.js';
import {systemClock} from '../core/clock.js';
import {EXIT, TunlError} from '../core/errors.js';
import {exitCodeOf} from '../launch/exit.js';
import {memberAddresses} from '../seal/fabric/addresses.js';
import {Fabric} from '../seal/fabric/fabric.js';
import type {ProcessExit} from '../seal/fabric/member-process.js';
import {lastBytes} from '../seal/last-bytes.js';
import {Crew, type Failure} from './crew.js';
import type {ClusterEvent} from './events.js';
import {ExposedPorts} from './exposed-ports.js';
import {findProgram} from './find-program.js';
import {newClusterId, newPrefix} from './ids.js';
import {
  type CheckedProgram,
  type ClusterEnd,
  type ClusterOptions,
  checkExposed,
  checkProgram,
  checkSize,
  checkWords,
} from './options.js';
import {RestartPauses} from './restart-pauses.js';
import {type ClusterFacts, hostsOf, memberName, variablesFor, wordsFor} from './surroundings.js';

/** A cluster whose programs run. */
export interface Cluster extends AsyncDisposable {
  /** It is part of the names inside. */
  readonly id: string;
  /** IPv6 addresses by rank, which only members reach. */
  readonly addresses: readonly string[];
  /** Public addresses of exposed ports, by `RANK:PORT`. */
  readonly exposed: ReadonlyMap<string, string>;
  /** All programs have ended. @throws TunlError CLUSTER_LOST, CLUSTER_UNAVAILABLE, or the error that ended a public address */
  readonly ended: Promise<ClusterEnd>;
  /** Ends all programs: SIGTERM, and SIGKILL after the grace. Idempotent. */
  close(): Promise<ClusterEnd>;
}

export class LocalCluster implements Cluster {
  readonly id = newClusterId();
  readonly addresses: readonly string[];
  readonly exposed = new Map<string, string>();
  readonly ended: Promise<ClusterEnd>;
  readonly #words: readonly string[];
  readonly #program: CheckedProgram;
  readonly #options: ClusterOptions;
  readonly #prefix = newPrefix();
  readonly #started = Promise.withResolvers<void>();
  #fabric: Fabric | undefined;
  #crew: Crew | undefined;
  readonly #closing = new AbortController();

  /** @throws TunlError CLUSTER_INVALID */
  constructor(argv: readonly string[], options: ClusterOptions) {
    this.#words = checkWords(argv);
    const size = checkSize(options.size);
    this.#program = checkProgram(options);
    checkExposed(options.expose ?? [], size);
    this.#options = options;
    this.addresses = Array.from({length: size}, (_, rank) => memberAddresses(this.#prefix, rank).v6);
    this.ended = this.#run();
    const {resolve: begun, reject} = this.#started;
    // Also when it ends before it has begun.
    this.ended.then(() => begun(), reject);
    this.#started.promise.catch(() => {});
  }

  /** The programs have begun for the first time. @throws TunlError as `ended` */
  get started(): Promise<void> {
    return this.#started.promise;
  }

  close(): Promise<ClusterEnd> {
    this.#closing.abort();
    return this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close().catch(() => {});
  }

  async #run(): Promise<ClusterEnd> {
    const {signal} = this.#options;
    const abort = () => this.#closing.abort();
    signal?.addEventListener('abort', abort);
    if (signal?.aborted) abort();
    this.#closing.signal.addEventListener('abort', () => this.#crew?.end());
    const ports = this.#expose();
    try {
      await findProgram(wordsFor(this.#words, 0, this.#facts)[0] ?? '', this.#program);
      const pauses = new RestartPauses();
      for (let epoch = 1; ; epoch += 1) {
        const began = systemClock.now();
        const failure = await this.#epoch(epoch, ports);
        const isLast = failure === undefined || epoch > this.#program.restarts;
        if (isLast || this.#closing.signal.aborted) return this.#end(failure);
        const delayMs = pauses.after(systemClock.now() - began);
        const {rank: failed, exitCode} = failure;
        this.#tell({type: 'cluster-restart', cluster: this.id, epoch: epoch + 1, delayMs, exitCode, failed});
        await Promise.race([this.#pause(delayMs), ...(ports === undefined ? [] : [ports.failed])]);
        if (this.#closing.signal.aborted) return this.#end(failure);
      }
    } finally {
      await ports?.close();
      signal?.removeEventListener('abort', abort);
    }
  }

  async #pause(ms: number): Promise<void> {
    await wait(ms, undefined, {signal: this.#closing.signal}).catch(() => {});
  }

  get #facts(): ClusterFacts {
    const {id, addresses} = this;
    return {id, addresses, masterPort: this.#program.masterPort};
  }

  #expose(): ExposedPorts | undefined {
    const {expose = [], forward} = this.#options;
    if (expose.length === 0) return undefined;
    return new ExposedPorts({
      ports: expose,
      forward,
      dial: async (rank, port, signal) => {
        if (this.#fabric !== undefined) return await this.#fabric.dialInside(rank, port, signal);
        throw Object.assign(new Error('the members start again'), {code: 'ECONNREFUSED'});
      },
      onAddress: ({rank, port}, address) => {
        this.exposed.set(`${rank}:${port}`, address);
        this.#tell({type: 'cluster-exposed', cluster: this.id, rank, port, address});
      },
    });
  }

  #end(failure: Failure | undefined): ClusterEnd {
    const failed = failure === undefined ? {} : {failed: failure.rank};
    const closed = this.#closing.signal.aborted;
    const end = {exitCode: failure?.exitCode ?? (closed ? EXIT.interrupted : EXIT.ok), ...failed};
    this.#tell({type: 'cluster-closed', cluster: this.id, ...end});
    return closed ? {...end, closed} : end;
  }

  /** Starts all programs in a new network, and resolves when nothing of them is left. */
  async #epoch(epoch: number, ports: ExposedPorts | undefined): Promise<Failure | undefined> {
    const {id, addresses} = this;
    const fabric = await Fabric.open({
      size: addresses.length,
      prefix: this.#prefix,
      hosts: hostsOf(this),
      hasWayOut: !this.#program.isolated,
      log: this.#options.log,
      signal: this.#closing.signal,
    }).catch((error: unknown) => {
      if (this.#closing.signal.aborted) return undefined;
      throw error;
    });
    if (fabric === undefined) return undefined;
    this.#fabric = fabric;
    try {
      if (epoch === 1) {
        for (const [rank, address] of addresses.entries())
          this.#tell({type: 'cluster-member', cluster: id, rank, address, name: memberName(id, rank)});
      }
      // Before the programs begin: a script that starts the cluster learns every address, or why there is none.
      if (epoch === 1) await this.#point(ports);
      if (this.#closing.signal.aborted) return undefined;
      const crew = this.#start(fabric, epoch);
      this.#crew = crew;
      this.#started.resolve();
      await Promise.race([crew.exited, ...(ports === undefined ? [] : [ports.failed])]);
      await lastBytes(() => fabric.outstanding, this.#closing.signal);
      await fabric.close();
      await crew.drained();
      if (fabric.wasLost)
        throw new TunlError('CLUSTER_LOST', {
          reason: 'The process that kept the members’ network has ended.',
        });
      return crew.failure;
    } finally {
      this.#fabric = undefined;
      this.#crew = undefined;
      await fabric.close();
    }
  }

  async #point(ports: ExposedPorts | undefined): Promise<void> {
    const {signal} = this.#closing;
    try {
      await ports?.point(signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  #start(fabric: Fabric, epoch: number): Crew {
    const {env, cwd, graceMs} = this.#program;
    const facts = this.#facts;
    const own = {...childEnv(), ...env};
    this.#tell({type: 'cluster-start', cluster: this.id, size: this.addresses.length, epoch});
    const members = this.addresses.map((_, rank) => ({
      rank,
      process: fabric.start(rank, {
        argv: wordsFor(this.#words, rank, facts),
        env: {...own, ...variablesFor(rank, facts)},
        cwd,
      }),
    }));
    return new Crew({
      members,
      graceMs,
      onOutput: this.#options.onOutput,
      onExit: (rank, exit, told) => this.#tell(exitEvent(this.id, epoch, rank, exit, told)),
    });
  }

  #tell(event: ClusterEvent): void {
    this.#options.onEvent?.(event);
  }
}

export function exitEvent(
  cluster: string,
  epoch: number,
  rank: number,
  exit: ProcessExit,
  told: boolean,
): ClusterEvent {
  return {
    type: 'cluster-exit',
    cluster,
    epoch,
    rank,
    ...(exit.code !== null && {code: exit.code}),
    ...(exit.signal !== null && {signal: exit.signal}),
    exitCode: exitCodeOf(exit),
    ...(told && {told}),
  };
}

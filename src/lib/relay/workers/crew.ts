// The workers of a relay: starts them, replaces those that end, and chooses one for an agent.

import {Backoff} from '../../core/backoff.js';
import {atMost, type Clock} from '../../core/clock.js';
import {toTunlError} from '../../core/errors.js';
import type {Logger} from '../../core/logger.js';
import type {HostPort} from '../../protocol/targets.js';
import {workerAmong} from '../../protocol/worker-protocol.js';
import {newTicketSecret} from '../certificates/ticket-keys.js';
import type {RelayEvents} from '../events.js';
import type {RelayStats} from '../options.js';
import type {Part} from '../part.js';
import type {RelaySettings} from '../settings.js';
import {HangWatch} from './hang-watch.js';
import type {QuestionsToWorker, ToWorker} from './messages.js';
import {WorkerProcess, type WorkerProcessOptions} from './worker-process.js';

/** The time that a worker needs to end, besides the time of its visitors, ms. */
const END_MS = 10_000;
/** The longest wait for the counts of a worker, ms. */
const STATS_MS = 1_000;
/** The longest wait until workers have read the files of the certificate, ms. */
const RELOAD_MS = 5_000;
/** How long the next connection of a source goes to the worker with the session that its last one asked for, ms. */
const STRAYED_MS = 10_000;
const MOST_STRAYED = 4_096;

export interface CrewOptions extends Pick<WorkerProcessOptions, 'onMessage' | 'answersFor'> {
  settings: RelaySettings;
  fork: (number: number) => WorkerProcessOptions['child'];
  /** The key of the relay's random names. */
  namesKey: Buffer;
  /** Where workers reach each other. */
  peersFolder?: {readonly path: string | undefined};
  /** A worker serves from now on. */
  onUp: (worker: WorkerProcess) => void;
  /** A worker has ended without being asked. */
  onLost: (worker: WorkerProcess) => void;
  events: Pick<RelayEvents, 'emit'>;
  clock: Clock;
  log: Logger;
}

export class Crew implements Part {
  readonly #options: CrewOptions;
  #settings: RelaySettings;
  readonly #ticketSecret = newTicketSecret().toString('base64');
  /** All processes, also those that are not ready yet. */
  readonly #all = new Set<WorkerProcess>();
  /** Those that serve, by number. */
  readonly #up = new Map<number, WorkerProcess>();
  readonly #watches = new Map<WorkerProcess, HangWatch>();
  readonly #strayed = new Map<string, {worker: number; until: number}>();
  #lastNumber = 0;
  #turn = 0;
  #door: HostPort | undefined;
  #isEnding = false;

  constructor(options: CrewOptions) {
    this.#options = options;
    this.#settings = options.settings;
  }

  /** Starts all workers. @throws TunlError the reason why one cannot serve */
  async muster(): Promise<void> {
    const {workers} = this.#settings;
    const all = Array.from({length: workers}, async () => {
      const backoff = new Backoff(this.#options);
      await this.#serve(this.#start(backoff), backoff);
    });
    await Promise.all(all);
  }

  /** The relay listens now. */
  tellDoor(door: HostPort): void {
    this.#door = door;
    this.tellAll({type: 'listening', ...door});
  }

  tellAll(message: ToWorker, but?: WorkerProcess): void {
    for (const worker of this.#all) if (worker !== but) worker.tell(message);
  }

  get workers(): Iterable<WorkerProcess> {
    return this.#up.values();
  }

  /** Undefined: it is not up. */
  numbered(worker: number): WorkerProcess | undefined {
    return this.#up.get(worker);
  }

  /** The worker for a connection to the relay's own name. Undefined: none is up. */
  forOwn(alpn: readonly string[], source: string): WorkerProcess | undefined {
    const named = workerAmong(alpn) ?? this.#takeStrayed(source);
    const known = named === undefined ? undefined : this.#up.get(named);
    if (known !== undefined) return known;
    const all = [...this.#up.values()];
    this.#turn = (this.#turn + 1) % Math.max(1, all.length);
    return all[this.#turn];
  }

  /** The next connection of this source should go to this worker. */
  stray(source: string, worker: number): void {
    this.#strayed.delete(source);
    this.#strayed.set(source, {worker, until: this.#options.clock.now() + STRAYED_MS});
    const [oldest] = this.#strayed.keys();
    if (this.#strayed.size > MOST_STRAYED && oldest !== undefined) this.#strayed.delete(oldest);
  }

  #takeStrayed(source: string): number | undefined {
    const strayed = this.#strayed.get(source);
    this.#strayed.delete(source);
    return strayed !== undefined && strayed.until > this.#options.clock.now() ? strayed.worker : undefined;
  }

  /** The last counts that workers have told. */
  get stats(): RelayStats {
    return sumOf([...this.#all].map((worker) => worker.stats));
  }

  /** The counts now; of a worker that does not answer, the last ones. */
  async askStats(): Promise<RelayStats> {
    const asked = [...this.#up.values()].map(async (worker) => {
      const answer = worker.ask('stats', {}).then(
        (told) => {
          worker.stats = told;
        },
        () => {},
      );
      await atMost(this.#options.clock, STATS_MS, answer);
      return worker.stats;
    });
    return sumOf(await Promise.all(asked));
  }

  /** The answers of the workers that are up and answer in time; `take` gets each as it comes. */
  async askAll<Q extends Exclude<keyof QuestionsToWorker, 'lose' | 'inUse' | 'stats' | 'reload'>>(
    question: Q,
    about: QuestionsToWorker[Q]['about'],
    take: (answer: QuestionsToWorker[Q]['answer'], worker: WorkerProcess) => void,
  ): Promise<void> {
    // A worker that is not up yet may have read the old list of what is blocked.
    const asked = [...(question === 'applyBlocks' ? this.#all : this.#up.values())].map(async (worker) => {
      const answer = worker.ask(question, about).then(
        (told) => take(told, worker),
        () => {},
      );
      await atMost(this.#options.clock, STATS_MS, answer);
    });
    await Promise.all(asked);
  }

  /** A worker that hangs does not keep the others from their new settings. */
  async reload(settings: RelaySettings): Promise<void> {
    this.#settings = settings;
    // A worker that is not up yet has begun with the old settings.
    const asked = [...this.#all].map(
      async (worker) => await worker.ask('reload', {settings: withoutLog(settings)}).catch(() => {}),
    );
    await atMost(this.#options.clock, RELOAD_MS, Promise.all(asked));
  }

  async drain(until: number): Promise<void> {
    this.#isEnding = true;
    for (const worker of this.#all) this.#unwatch(worker);
    const {clock} = this.#options;
    const leftMs = Math.max(0, until - clock.now());
    const ended = [...this.#all].map(async (worker) => await worker.end(leftMs));
    await atMost(clock, leftMs + END_MS, Promise.all(ended));
  }

  close(): void {
    this.#isEnding = true;
    for (const worker of this.#all) {
      this.#unwatch(worker);
      worker.kill();
    }
  }

  async #serve(worker: WorkerProcess, backoff: Backoff): Promise<void> {
    await worker.ready;
    backoff.succeeded();
    this.#up.set(worker.number, worker);
    this.#watch(worker);
    this.#options.onUp(worker);
    this.#tellCrew();
  }

  #watch(worker: WorkerProcess): void {
    const {clock, log} = this.#options;
    const watch = new HangWatch({
      clock,
      ask: () => worker.ask('stats', {}),
      onHung: () => {
        log.error('a worker process hangs and is ended', {worker: worker.number});
        worker.kill();
      },
    });
    this.#watches.set(worker, watch);
  }

  #unwatch(worker: WorkerProcess): void {
    this.#watches.get(worker)?.stop();
    this.#watches.delete(worker);
  }

  /** @throws Error when this machine has no memory for another process */
  #start(backoff: Backoff): WorkerProcess {
    const {onMessage, answersFor} = this.#options;
    this.#lastNumber += 1;
    const number = this.#lastNumber;
    const worker: WorkerProcess = new WorkerProcess({
      number,
      child: this.#options.fork(number),
      onMessage,
      answersFor,
      onGone: (gone, how) => this.#onGone(gone, how, backoff),
    });
    this.#all.add(worker);
    const {workers} = this.#settings;
    const settings = withoutLog(this.#settings);
    const {namesKey, peersFolder} = this.#options;
    worker.tell({
      type: 'begin',
      number,
      workers,
      settings,
      ticketSecret: this.#ticketSecret,
      namesKey: namesKey.toString('base64'),
      peersFolder: peersFolder?.path,
    });
    if (this.#door !== undefined) worker.tell({type: 'listening', ...this.#door});
    return worker;
  }

  #onGone(
    worker: WorkerProcess,
    {code, signal}: {code: number | null; signal: string | null},
    backoff: Backoff,
  ) {
    const {events, onLost} = this.#options;
    const wasUp = this.#up.delete(worker.number);
    this.#all.delete(worker);
    this.#unwatch(worker);
    if (this.#isEnding) return;
    onLost(worker);
    // At the start of the relay the reason is the relay's own error.
    if (!wasUp && this.#door === undefined) return;
    const waitMs = backoff.next();
    events.emit({
      type: 'worker-ended',
      worker: worker.number,
      ...(signal === null ? {code} : {signal}),
      waitMs: Math.round(waitMs),
    });
    this.#tellCrew();
    this.#replace(backoff, waitMs);
  }

  #replace(backoff: Backoff, waitMs: number): void {
    const {log, clock} = this.#options;
    clock.after(waitMs, () => {
      if (this.#isEnding) return;
      try {
        // A process that ends before it serves comes to `#onGone`.
        this.#serve(this.#start(backoff), backoff).catch((error: unknown) => this.#cannotServe(error));
      } catch (error) {
        const nextMs = backoff.next();
        log.error('no worker process could be started', {
          reason: String(error),
          waitMs: Math.round(nextMs),
        });
        this.#replace(backoff, nextMs);
      }
    });
  }

  #cannotServe(error: unknown): void {
    this.#options.log.error('a worker process cannot serve', {reason: toTunlError(error).message});
  }

  #tellCrew(): void {
    this.tellAll({type: 'crew', numbers: [...this.#up.keys()]});
  }
}

function withoutLog({log: _sink, ...plain}: RelaySettings): Omit<RelaySettings, 'log'> {
  return plain;
}

function sumOf(all: readonly RelayStats[]): RelayStats {
  const sum = {agents: 0, tunnels: 0, visitors: 0};
  for (const {agents, tunnels, visitors} of all) {
    sum.agents += agents;
    sum.tunnels += tunnels;
    sum.visitors += visitors;
  }
  return sum;
}

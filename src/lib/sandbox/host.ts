// Owns one sandbox: starts it and its tunnels, knows when it is ready, and ends it for one reason, after which nothing waits
// for it any more.

import type {Duplex, Writable} from 'node:stream';
import {type Clock, systemClock} from '../core/clock.js';
import {TunlError, toTunlError} from '../core/errors.js';
import type {Refusal} from '../seal/refusals.js';
import type {BackendName, ExecRequest, SandboxHandle, SandboxProcess, SandboxStats} from './backend.js';
import {openBackend} from './backends.js';
import {chooseBackend} from './choose.js';
import type {
  EndReason,
  LogPiece,
  SandboxControl,
  SandboxEnd,
  SandboxInfo,
  SandboxState,
  SandboxTunnel,
} from './control.js';
import {CountedStdin} from './counted-stdin.js';
import {endedError, endOf, failedStart} from './end-reason.js';
import type {SandboxEvent} from './events.js';
import {createHandle, destroyHandle, stopCommand} from './handle-life.js';
import {checkExec, destroyLate, killLate, RunningProcesses} from './host-calls.js';
import type {HostParts} from './host-parts.js';
import {Life} from './life.js';
import {OutputLog} from './logs.js';
import type {SandboxRequest} from './options.js';
import {PendingCalls} from './pending.js';
import {SandboxPorts} from './ports.js';
import {type Probed, untilReady} from './probe.js';
import {specOf} from './request-spec.js';
import type {EgressRules} from './spec.js';
import {UsedFiles} from './used-files.js';
import {VisitorTraffic} from './visitor-traffic.js';

/** Visitors have this long to receive the last bytes of a command that has ended by itself, ms, or of one that was stopped. */
const LAST_BYTES_MS = 1_000;
const AFTER_STOP_MS = 300;

export class SandboxHost implements SandboxControl {
  readonly id: string;
  /** Resolves when the command runs. Rejects with the reason why it does not: the sandbox has then ended. */
  readonly started: Promise<void>;
  readonly ended: Promise<SandboxEnd>;
  readonly stdin: Writable;
  readonly #request: SandboxRequest;
  readonly #parts: HostParts;
  readonly #clock: Clock;
  readonly #createdAt: number;
  readonly #ports: SandboxPorts;
  readonly #life: Life;
  readonly #log = new OutputLog();
  readonly #pending = new PendingCalls();
  readonly #running = Promise.withResolvers<SandboxHandle>();
  readonly #processes = new RunningProcesses(this.#pending, () => this.#life.active('exec'));
  readonly #ready = Promise.withResolvers<void>();
  readonly #over = Promise.withResolvers<SandboxEnd>();
  /** Aborts what only leads to a running, ready sandbox. */
  readonly #giveUp = new AbortController();
  #state: SandboxState = 'creating';
  #handle: SandboxHandle | undefined;
  #backend: BackendName | undefined;
  /** Whether nothing is left of a start that has failed. */
  #late: Promise<boolean> = Promise.resolve(false);
  /** Why it is stopped; undefined while nobody and nothing has asked for it. */
  #asked: EndReason | undefined;
  #end: SandboxEnd | undefined;
  #egress: EgressRules;

  /** Begins at once. */
  constructor(request: SandboxRequest, parts: HostParts) {
    const {clock = systemClock, wall = Date.now, own, signal} = parts;
    this.id = own.id;
    this.#request = request;
    this.#parts = parts;
    this.#clock = clock;
    this.#createdAt = wall();
    this.#egress = request.settings.egress;
    const {name, timeoutMs, idleTimeoutMs} = request.settings;
    const traffic = new VisitorTraffic(clock);
    this.#life = new Life({
      clock,
      wall,
      timeoutMs,
      idleTimeoutMs,
      isBusy: () => this.#processes.size > 0 || this.files.transfers > 0,
      look: () => {
        if (traffic.look(this.#ports.visited)) this.#life.active('traffic');
      },
      onOver: (reason) => void this.#stop(reason),
    });
    this.#ports = new SandboxPorts({
      requests: request.ports,
      forward: request.forward,
      name,
      label: name ?? own.id,
      clock,
      onEvent: (port, event) => this.#tell({type: 'tunnel', id: this.id, port, event}),
    });
    this.ended = this.#over.promise;
    for (const each of [this.#running.promise, this.#ready.promise]) each.catch(() => {});
    this.stdin = new CountedStdin(
      this.#running.promise.then(({stdin}) => stdin),
      () => this.#life.active('stdin'),
    );
    const terminate = () => void this.#stop('terminated');
    signal?.addEventListener('abort', terminate, {once: true});
    void this.ended.then(() => signal?.removeEventListener('abort', terminate));
    this.started = this.#start();
    this.started.catch(() => {});
    if (signal?.aborted) terminate();
  }

  /** The same as `info`, at once. */
  get snapshot(): SandboxInfo {
    const {command, settings} = this.#request;
    return {
      id: this.id,
      name: settings.name,
      state: this.#state,
      backend: this.#backend,
      command,
      createdAt: this.#createdAt,
      stopsAt: this.#life.stopsAt,
      idleTimeoutMs: settings.idleTimeoutMs || undefined,
      activity: this.#life.activity,
      tunnels: this.#ports.known,
      egress: this.#egress,
      unreal: this.#handle?.unreal ?? [],
      end: this.#end,
      pid: process.pid,
    };
  }

  async info(): Promise<SandboxInfo> {
    return this.snapshot;
  }

  async stats(): Promise<SandboxStats> {
    return await this.#inside((handle) => handle.stats());
  }

  async exec(request: ExecRequest): Promise<SandboxProcess> {
    const checked = checkExec(request);
    return this.#processes.add(await this.#inside((handle) => handle.exec(checked), killLate));
  }

  async attach(id: string): Promise<SandboxProcess> {
    this.#checkAlive();
    return this.#processes.get(id);
  }

  /** A process that `exec` has started and that still runs. */
  find(id: string): SandboxProcess | undefined {
    return this.#processes.find(id);
  }

  async dial(port: number, signal?: AbortSignal): Promise<Duplex> {
    return await this.#inside((handle) => handle.dial(port, signal), destroyLate);
  }

  readonly files = new UsedFiles(
    (what, late) => this.#inside(what, late),
    () => this.#life.active('exec'),
  );

  async tunnels(): Promise<readonly SandboxTunnel[]> {
    return await this.#pending.race(this.#ports.all());
  }

  async ready(): Promise<void> {
    await this.#pending.race(this.#ready.promise);
  }

  async extend(ms: number): Promise<number | undefined> {
    return await this.#inside(async () => {
      const stopsAt = this.#life.extend(ms);
      this.#changed();
      return stopsAt;
    });
  }

  async setEgress(rules: EgressRules): Promise<void> {
    await this.#inside((handle) => handle.setEgress(rules));
    this.#egress = rules;
    this.#changed();
  }

  terminate(): Promise<SandboxEnd> {
    return this.#stop('terminated');
  }

  logs(options: {follow?: boolean; signal?: AbortSignal} = {}): AsyncIterable<LogPiece> {
    return this.#log.read(options);
  }

  // ── Start ──

  async #start(): Promise<void> {
    try {
      this.#tell({type: 'state', id: this.id, state: 'creating'});
      const ask = (signal: AbortSignal) => this.#askBackend(signal);
      const handle = await createHandle(ask, {
        clock: this.#clock,
        giveUp: this.#giveUp,
        onLate: (gone) => (this.#late = gone),
      });
      if (this.#asked !== undefined) {
        await handle.destroy();
        throw new TunlError('ABORTED');
      }
      this.#run(handle);
    } catch (error) {
      const isAsked = this.#asked !== undefined;
      const why = isAsked ? new TunlError('ABORTED', {cause: error}) : toTunlError(error, 'SANDBOX_FAILED');
      await this.#finish(isAsked ? endOf(undefined, this.#asked) : failedStart(why));
      throw why;
    }
  }

  async #askBackend(signal: AbortSignal): Promise<SandboxHandle> {
    const {settings, limits} = this.#request;
    const backend = await chooseBackend({...settings, limits}, this.#parts.openBackend ?? openBackend);
    const spec = await specOf(this.#request, this.#parts.own, this.#ports);
    signal.throwIfAborted();
    // A later process removes what this one leaves behind when it is killed from now on.
    this.#backend = backend.name;
    this.#changed();
    const onRefused = (refusal: Refusal) => this.#tell({type: 'refused', id: this.id, ...refusal});
    return await backend.create({...spec, onRefused}, signal);
  }

  #run(handle: SandboxHandle): void {
    this.#handle = handle;
    this.#keep('stdout', handle);
    this.#keep('stderr', handle);
    this.#running.resolve(handle);
    this.#life.begin();
    this.#ports.pointTo((port, signal) => this.dial(port, signal));
    this.#become('running');
    // While it is stopped, the stop waits for the end itself.
    void handle.ended.then((end) => {
      if (this.#asked === undefined) void this.#finish(endOf(end, undefined));
    });
    void this.#whenReady(handle);
    this.#ports.all().then(
      (tunnels) => {
        if (this.#end !== undefined) return;
        this.#changed();
        this.#tell({type: 'tunnels', id: this.id, tunnels});
      },
      () => {},
    );
  }

  async #whenReady(handle: SandboxHandle): Promise<void> {
    const {readiness} = this.#request;
    const inside: Probed = {
      dial: (port, signal) => handle.dial(port, signal),
      exec: (request) => handle.exec(request),
    };
    const {signal} = this.#giveUp;
    if (readiness !== undefined && !(await untilReady(readiness, inside, {clock: this.#clock, signal})))
      return;
    if (this.#state !== 'running') return;
    this.#become('ready');
    this.#ready.resolve();
  }

  /** The command's output is read whatever its readers do: a full pipe would stop the command. */
  #keep(from: LogPiece['from'], handle: SandboxHandle): void {
    const {onOutput} = this.#parts;
    handle[from].on('error', () => {});
    handle[from].on('data', (bytes: Buffer) => {
      this.#log.write(from, bytes);
      onOutput?.({from, bytes});
    });
  }

  // ── End ──

  async #stop(reason: EndReason): Promise<SandboxEnd> {
    if (this.#asked === undefined && this.#end === undefined) {
      this.#asked = reason;
      this.#life.end();
      this.#giveUp.abort();
      const handle = this.#handle;
      this.#become('stopping');
      if (handle !== undefined) {
        const {preStop} = this.#request;
        const end = await stopCommand(handle, {preStop, clock: this.#clock});
        await this.#finish(endOf(end, reason));
      }
    }
    return await this.ended;
  }

  async #finish(end: SandboxEnd): Promise<void> {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#life.end();
    this.#giveUp.abort();
    const error = endedError(end);
    this.#pending.end(error);
    this.#running.reject(error);
    this.#ready.reject(error);
    const {reason, code} = end;
    // Bytes of a command that has ended may still be inside.
    const isOrderly = reason === 'exited' || code !== undefined;
    const closePorts = () => this.#ports.close(isOrderly ? LAST_BYTES_MS : AFTER_STOP_MS);
    if (isOrderly) await closePorts();
    // A backend whose start has failed or was given up may still be at work.
    const handle = this.#handle;
    const isGone = await (handle === undefined ? this.#late : destroyHandle(handle, this.#clock));
    await closePorts();
    this.stdin.destroy();
    this.#log.close();
    this.#state = 'ended';
    await this.#parts.own.end(end, {unclean: !isGone}).catch(() => {});
    this.#tell({type: 'ended', id: this.id, end});
    this.#over.resolve(end);
  }

  // ── Common ──

  /** Waits until the command runs. */
  async #inside<T>(what: (handle: SandboxHandle) => Promise<T>, late?: (value: T) => void): Promise<T> {
    this.#checkAlive();
    return await this.#pending.race(this.#running.promise.then(what), late);
  }

  #checkAlive(): void {
    if (this.#end !== undefined) throw endedError(this.#end);
  }

  #become(state: Exclude<SandboxState, 'ended'>): void {
    this.#state = state;
    this.#changed();
    this.#tell({type: 'state', id: this.id, state});
  }

  #changed(): void {
    this.#parts.own.change(this.snapshot, this.#handle?.record);
  }

  #tell(event: SandboxEvent): void {
    this.#parts.onEvent?.(event);
  }
}

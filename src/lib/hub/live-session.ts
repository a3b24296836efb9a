// A session that this hub starts, watches and ends. Its record changes here only.

import type {Clock} from '../core/clock.js';
import {TunlError, toTunlError} from '../core/errors.js';
import type {Logger} from '../core/logger.js';
import type {LogPiece, SandboxControl} from '../sandbox/control.js';
import {lastLines} from './last-lines.js';
import {Ledger} from './ledger.js';
import {
  isFinal,
  type SessionEnd,
  type SessionEvent,
  type SessionRecord,
  type SessionState,
} from './session.js';
import {endOf, untilReady} from './session-run.js';
import type {ProgramSite, Template} from './template.js';

/** Starts again after a failure at the most, before the session fails. */
const MOST_RESTARTS = 3;
const FIRST_RESTART_MS = 1_000;

export interface LiveContext {
  readonly clock: Clock;
  readonly wallNow: () => number;
  readonly log: Logger;
  readonly template: Template;
  readonly record: SessionRecord;
  /** Waits for a turn. */
  enterQueue(signal: AbortSignal): Promise<void>;
  leaveQueue(): void;
  /** Starts the sandbox. */
  start(): Promise<SandboxControl>;
  outputOf(sandboxId: string): Promise<readonly LogPiece[]>;
  site(): ProgramSite;
  /** Stores the record. It must not fail: a session goes on without its file. */
  save(): Promise<void>;
  emit(type: SessionEvent['type']): void;
}

export class LiveSession {
  readonly record: SessionRecord;
  readonly template: Template;
  readonly #context: LiveContext;
  readonly #stop = new AbortController();
  readonly #settled = Promise.withResolvers<void>();
  readonly #over = Promise.withResolvers<void>();
  #sandbox: SandboxControl | undefined;
  #ledger: Ledger;
  #stopReason: SessionEnd | undefined;

  constructor(context: LiveContext) {
    this.#context = context;
    this.record = context.record;
    this.template = context.template;
    this.#ledger = this.#newLedger(context.record.readyAt ?? context.wallNow());
  }

  get sandbox(): SandboxControl | undefined {
    return this.#sandbox;
  }

  get ledger(): Ledger {
    return this.#ledger;
  }

  /** Resolves when it is ready for the first time, or over. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  /** Resolves when it is over. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** The last lines of its output, without its token. */
  async tail(): Promise<readonly string[]> {
    const {sandboxId, secret} = this.record;
    const kept = async () => (sandboxId === undefined ? [] : await this.#context.outputOf(sandboxId));
    return await lastLines({sandbox: this.#sandbox, kept, secrets: [secret]});
  }

  /** Starts from nothing. */
  begin(): void {
    void this.#run(undefined);
  }

  /** Goes on with a sandbox that runs already. */
  adopt(sandbox: SandboxControl): void {
    void this.#run(sandbox);
  }

  /** Never rejects. */
  async end(end: SessionEnd): Promise<void> {
    if (isFinal(this.record.state)) return;
    this.#stopReason ??= end;
    this.#change('stopping');
    this.#stop.abort(new TunlError('ABORTED'));
    await this.#sandbox?.terminate().catch(() => {});
    await this.over;
  }

  /** Ends it before anything was started. */
  fail(end: SessionEnd): void {
    this.#finish('failed', end);
  }

  async #run(adopted: SandboxControl | undefined): Promise<void> {
    let sandbox = adopted;
    try {
      for (;;) {
        const end = await this.#once(sandbox);
        sandbox = undefined;
        if (this.#stopReason !== undefined) return this.#finish('stopped', this.#stopReason);
        if (!(await this.#startsAgain(end))) return this.#finish(isForeseen(end) ? 'stopped' : 'failed', end);
      }
    } catch (error) {
      this.#context.log.error('a session failed', {session: this.record.id, reason: String(error)});
      this.#finish('failed', {reason: 'not-started', detail: toTunlError(error).message, tail: []});
    }
  }

  /** One life of a sandbox, from its turn in the queue to its end. */
  async #once(adopted: SandboxControl | undefined): Promise<SessionEnd> {
    let sandbox = adopted;
    if (sandbox === undefined || this.record.state !== 'ready') {
      const started = await this.#start(sandbox);
      if ('reason' in started) return started;
      sandbox = started.sandbox;
    } else {
      this.#sandbox = sandbox;
      this.#settled.resolve();
    }
    const ended = await sandbox.ended;
    return endOf(ended, await this.tail());
  }

  async #start(adopted: SandboxControl | undefined): Promise<{sandbox: SandboxControl} | SessionEnd> {
    const {signal} = this.#stop;
    try {
      if (adopted === undefined) {
        this.#change('queued');
        await this.#context.enterQueue(signal);
      }
      try {
        this.#change('starting');
        const sandbox = adopted ?? (await this.#context.start());
        this.#sandbox = sandbox;
        this.record.sandboxId = sandbox.id;
        await this.#context.save();
        if (signal.aborted) await sandbox.terminate();
        const {program, port, readyTimeoutMs} = this.template;
        const {clock} = this.#context;
        const result = await untilReady(
          {
            sandbox,
            program,
            port,
            readyTimeoutMs,
            clock,
            secret: this.record.secret,
            tail: () => this.tail(),
          },
          signal,
        );
        if (!result.ready) {
          await sandbox.terminate().catch(() => {});
          return result.end;
        }
        await this.#becomeReady(sandbox);
        return {sandbox};
      } finally {
        this.#context.leaveQueue();
      }
    } catch (error) {
      if (signal.aborted) return this.#stopReason ?? {reason: 'asked', detail: 'It was stopped.', tail: []};
      const {message, next} = toTunlError(error);
      return {reason: 'not-started', detail: `${message} ${next}`.trim(), tail: []};
    }
  }

  async #becomeReady(sandbox: SandboxControl): Promise<void> {
    const [tunnels, info] = await Promise.all([sandbox.tunnels(), sandbox.info()]);
    const url = tunnels.find(({port}) => port === this.template.port)?.url;
    if (url === undefined) throw new TunlError('SANDBOX_TUNNELS');
    const {record} = this;
    const host = new URL(url).hostname;
    record.url = this.template.program.address({...this.#context.site(), url, host});
    record.readyAt = this.#context.wallNow();
    record.stopsAt = info.stopsAt;
    record.restarts = 0;
    this.#ledger = this.#newLedger(record.readyAt);
    this.#change('ready');
    await this.#context.save();
    this.#settled.resolve();
  }

  /** Waits before the next start. False: it does not start again. */
  async #startsAgain(end: SessionEnd): Promise<boolean> {
    const {restart} = this.template;
    const wasReady = this.record.readyAt !== undefined;
    const mayRestart =
      restart === 'always' ? end.reason !== 'idle' && end.reason !== 'timeout' : isFailure(end);
    if (restart === 'never' || !wasReady || !mayRestart || this.record.restarts >= MOST_RESTARTS)
      return false;
    const delay = FIRST_RESTART_MS * 2 ** this.record.restarts;
    this.record.restarts += 1;
    await new Promise<void>((resolve) => {
      const timer = this.#context.clock.after(delay, resolve);
      this.#stop.signal.addEventListener('abort', () => {
        timer.cancel();
        resolve();
      });
    });
    return this.#stopReason === undefined;
  }

  #newLedger(startedAt: number): Ledger {
    return new Ledger({idleMs: this.template.idleMs, startedAt});
  }

  #change(state: SessionState): void {
    if (this.record.state === state || isFinal(this.record.state)) return;
    // A stop that was asked for is not undone by a start that goes on meanwhile.
    if (this.record.state === 'stopping' && state !== 'stopped' && state !== 'failed') return;
    this.record.state = state;
    this.#context.emit('state');
    void this.#context.save();
  }

  #finish(state: 'stopped' | 'failed', end: SessionEnd): void {
    if (isFinal(this.record.state)) return;
    this.record.state = state;
    this.record.end = end;
    this.record.endedAt = this.#context.wallNow();
    this.#sandbox = undefined;
    this.#context.emit('state');
    void this.#context.save().finally(() => {
      this.#settled.resolve();
      this.#over.resolve();
    });
  }
}

const isFailure = ({reason}: SessionEnd): boolean =>
  reason === 'exited' || reason === 'oom' || reason === 'lost';

/** These ends are the plan of somebody. */
const isForeseen = ({reason}: SessionEnd): boolean =>
  reason === 'timeout' || reason === 'idle' || reason === 'terminated' || reason === 'asked';

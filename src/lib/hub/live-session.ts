// A session that this hub starts, watches and ends. Its record changes here only.

import {pause} from '../core/clock.js';
import {type ErrorCode, TunlError, toTunlError} from '../core/errors.js';
import type {SandboxControl, SandboxEnd} from '../sandbox/control.js';
import {lastLines} from './last-lines.js';
import {Ledger} from './ledger.js';
import type {LiveContext} from './live-context.js';
import {isFinal, type SessionEnd, type SessionRecord, type SessionState} from './session.js';
import {endOf, untilReady} from './session-run.js';
import type {Template} from './template.js';

/** Starts again after a failure at the most, before the session fails. */
const MOST_RESTARTS = 3;
const FIRST_RESTART_MS = 1_000;
/** After this long as ready, earlier failures no longer count, ms. */
const STEADY_MS = 600_000;
/** Between two tries to reach a sandbox whose owner does not answer, ms. */
const REOPEN_EVERY_MS = 2_000;
/** How long an owner may be silent before its sandbox is given up, ms. */
const REOPEN_MS = 60_000;

export class LiveSession {
  readonly record: SessionRecord;
  readonly template: Template;
  readonly #context: LiveContext;
  readonly #stop = new AbortController();
  #settled = Promise.withResolvers<void>();
  readonly #over = Promise.withResolvers<void>();
  #sandbox: SandboxControl | undefined;
  #ledger: Ledger;
  #stopReason: SessionEnd | undefined;
  #isDetached = false;
  /** Another sandbox follows the one that is being ended. */
  #isRestarting = false;
  /** Looks in a row at which its program did not answer. */
  silentLooks = 0;

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

  /** Goes on where an earlier hub was. */
  takeOver(): void {
    void this.#resume();
  }

  /** The next hub goes on with it: from now on this one neither changes nor stores anything. */
  detach(): void {
    this.#isDetached = true;
    this.#stop.abort(new TunlError('ABORTED'));
    (this.#sandbox as Partial<Disposable> | undefined)?.[Symbol.dispose]?.();
  }

  /** Never rejects. */
  async end(end: SessionEnd): Promise<void> {
    if (isFinal(this.record.state)) return;
    this.#stopReason ??= end;
    this.record.end = this.#stopReason;
    this.#change('stopping');
    this.#stop.abort(new TunlError('ABORTED'));
    await this.#sandbox?.terminate().catch(() => {});
    await this.over;
  }

  /** Ends its sandbox, and starts another one with the same address. False: it does not run. */
  restart(): boolean {
    if (this.#isRestarting) return true;
    if (this.record.state !== 'ready' || this.#sandbox === undefined) return false;
    this.#isRestarting = true;
    this.#settled = Promise.withResolvers<void>();
    this.record.restarts = 0;
    // With the id of the old sandbox, so that the next hub knows what it has to end.
    this.#change('queued');
    const sandbox = this.#sandbox;
    void this.#context.save().then(() => sandbox.terminate().catch(() => {}));
    return true;
  }

  async #resume(): Promise<void> {
    const {record, template} = this;
    try {
      const sandbox = record.sandboxId === undefined ? undefined : await this.#reopen(record.sandboxId);
      if (this.#isDetached) return;
      if (record.state === 'stopping') {
        this.#stopReason = record.end ?? {reason: 'asked', detail: 'It was stopped.', tail: []};
        await sandbox?.terminate().catch(() => {});
        return this.#finish('stopped', this.#stopReason);
      }
      if (record.state === 'queued') {
        // The earlier hub was about to start it again.
        await sandbox?.terminate().catch(() => {});
        return void (await this.#run(undefined));
      }
      if (sandbox !== undefined) return void (await this.#run(sandbox));
      const wasReady = record.state === 'ready';
      const ended = record.sandboxId === undefined ? undefined : await this.#context.endOf(record.sandboxId);
      const end = ended === undefined ? undefined : endOf(ended, await this.tail());
      if (wasReady && end !== undefined && isForeseen(end)) return this.#finish('stopped', end);
      // It had not begun, or its owner died with the machine.
      if (!wasReady || template.restart === 'always') return void (await this.#run(undefined));
      const detail = 'Its sandbox ended while the hub did not run.';
      this.#finish('failed', end ?? {reason: 'lost', detail, tail: []});
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Undefined: it is gone. Waits for an owner that does not answer, which may be busy or stopped. */
  async #reopen(sandboxId: string): Promise<SandboxControl | undefined> {
    // The earlier hub may have been killed a moment after it had started the owner.
    const isYoung = this.record.state === 'starting';
    const until = this.#context.clock.now() + REOPEN_MS;
    for (let tries = 0; ; tries += 1) {
      try {
        const sandbox = await this.#context.open(sandboxId);
        if (sandbox !== undefined || !isYoung || tries > 2) return sandbox;
      } catch (error) {
        if (this.#context.clock.now() > until) throw error;
      }
      await this.#pause(isYoung ? REOPEN_EVERY_MS / 2 : REOPEN_EVERY_MS);
      if (this.#stop.signal.aborted) return undefined;
    }
  }

  /** Ends early when the session is stopped. */
  #pause(ms: number): Promise<void> {
    return pause(this.#context.clock, ms, this.#stop.signal);
  }

  #fail(error: unknown): void {
    const {code, message} = toTunlError(error);
    this.#context.log.error('a session failed', {session: this.record.id, code, reason: message});
    this.#finish('failed', {reason: 'not-started', detail: 'The hub could not go on with it.', tail: []});
  }

  async #run(adopted: SandboxControl | undefined): Promise<void> {
    let sandbox = adopted;
    try {
      for (;;) {
        const end = await this.#once(sandbox);
        sandbox = undefined;
        if (this.#isDetached) return;
        if (this.#stopReason !== undefined) return this.#finish('stopped', this.#stopReason);
        if (this.#isRestarting) this.#isRestarting = false;
        else if (!(await this.#startsAgain(end)))
          return this.#finish(isForeseen(end) ? 'stopped' : 'failed', end);
      }
    } catch (error) {
      this.#fail(error);
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
    let current: SandboxControl = sandbox;
    for (;;) {
      const ended: SandboxEnd = await current.ended;
      // The owner may have been silent for a while, or this hub was: the sandbox still runs then.
      const isWanted = this.#stopReason === undefined && !this.#isRestarting && !this.#isDetached;
      const mayRun = ended.reason === 'lost' && isWanted;
      const again = mayRun ? await this.#reopen(current.id).catch(() => undefined) : undefined;
      if (again === undefined) return endOf(ended, await this.tail());
      current = again;
      this.#sandbox = again;
    }
  }

  async #start(adopted: SandboxControl | undefined): Promise<{sandbox: SandboxControl} | SessionEnd> {
    const {signal} = this.#stop;
    try {
      if (adopted === undefined) {
        this.record.sandboxId = undefined;
        this.#change('queued');
        await this.#context.enterQueue(signal);
      }
      try {
        this.record.sandboxId ??= this.#context.newId();
        this.#change('starting');
        await this.#context.save();
        const sandbox = adopted ?? (await this.#context.start(this.record.sandboxId));
        this.#sandbox = sandbox;
        if (signal.aborted && !this.#isDetached) await sandbox.terminate();
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
      const {code, message, next} = toTunlError(error);
      this.#context.log.warn('a session could not be started', {
        session: this.record.id,
        code,
        reason: message,
      });
      // Other reasons may name files of this machine.
      const detail = TOLD.has(code)
        ? `${message} ${next}`.trim()
        : 'The hub could not start it; its log says why.';
      return {reason: 'not-started', detail, tail: []};
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
    this.#ledger = this.#newLedger(record.readyAt);
    this.#change('ready');
    await this.#context.save();
    this.#settled.resolve();
  }

  /** Waits before the next start. False: it does not start again. */
  async #startsAgain(end: SessionEnd): Promise<boolean> {
    const {restart} = this.template;
    const {record} = this;
    const wasReady = record.readyAt !== undefined;
    const isClean = end.reason === 'exited' && restart !== 'always';
    if (restart === 'never' || !wasReady || !isFailure(end) || (isClean && end.detail.endsWith('code 0.')))
      return false;
    if (this.#context.wallNow() - (record.readyAt ?? 0) > STEADY_MS) record.restarts = 0;
    if (record.restarts >= MOST_RESTARTS) return false;
    const delay = FIRST_RESTART_MS * 2 ** record.restarts;
    record.restarts += 1;
    this.#settled = Promise.withResolvers<void>();
    this.#sandbox = undefined;
    record.sandboxId = undefined;
    this.#change('queued');
    await this.#pause(delay);
    return this.#stopReason === undefined && !this.#isDetached;
  }

  #newLedger(startedAt: number): Ledger {
    return new Ledger({idleMs: this.template.idleMs, startedAt});
  }

  #change(state: SessionState): void {
    if (this.#isDetached || this.record.state === state || isFinal(this.record.state)) return;
    // A stop that was asked for is not undone by a start that goes on meanwhile.
    if (this.record.state === 'stopping' && state !== 'stopped' && state !== 'failed') return;
    this.record.state = state;
    this.#context.emit('state');
    void this.#context.save();
  }

  #finish(state: 'stopped' | 'failed', end: SessionEnd): void {
    if (this.#isDetached || isFinal(this.record.state)) return;
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

/** Errors of a start that a user may read. */
const TOLD: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'SANDBOX_COMMAND',
  'SANDBOX_TUNNELS',
  'SANDBOX_ENDED',
  'HUB_HOME',
]);

const isFailure = ({reason}: SessionEnd): boolean =>
  reason === 'exited' || reason === 'oom' || reason === 'lost';

/** These ends are the plan of somebody. */
const isForeseen = ({reason}: SessionEnd): boolean =>
  reason === 'timeout' || reason === 'idle' || reason === 'terminated' || reason === 'asked';

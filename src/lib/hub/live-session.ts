// A session that this hub starts, watches and ends. Its record changes here only.

import {pause} from '../core/clock.js';
import {TunlError, toTunlError} from '../core/errors.js';
import type {SandboxControl, SandboxEnd} from '../sandbox/control.js';
import {extensionOf} from './extension.js';
import {lastLines} from './last-lines.js';
import {Ledger} from './ledger.js';
import type {LiveContext} from './live-context.js';
import {reopen} from './reopen.js';
import {isForeseen, nextStart} from './restart-rule.js';
import {isFinal, type SessionEnd, type SessionRecord, type SessionState} from './session.js';
import {endOf, notStarted, untilReady} from './session-run.js';
import type {Template} from './template.js';

export const doesNotRun = (): TunlError =>
  new TunlError('SANDBOX_ENDED', {reason: 'The session does not run.'});

export class LiveSession {
  readonly record: SessionRecord;
  readonly template: Template;
  readonly #context: LiveContext;
  readonly #stop = new AbortController();
  #settled = Promise.withResolvers<void>();
  #isSettled = false;
  readonly #over = Promise.withResolvers<void>();
  #sandbox: SandboxControl | undefined;
  #ledger: Ledger;
  #stopReason: SessionEnd | undefined;
  #isDetached = false;
  /** Another sandbox follows the one that is being ended. */
  #isRestarting = false;
  /** Looks in a row at which its program did not answer. */
  silentLooks = 0;
  #extending: Promise<void> = Promise.resolve();

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

  /** Starts from nothing. It is in the queue, or has left it, when this returns. */
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
    await this.#endSandbox();
    await this.over;
  }

  /** Ends its sandbox, and starts another one with the same address. False: it does not run. */
  restart(): boolean {
    if (this.#isRestarting) return true;
    if (this.record.state !== 'ready' || this.#sandbox === undefined) return false;
    this.#isRestarting = true;
    this.#unsettle();
    this.record.restarts = 0;
    // With the id of the old sandbox, so that the next hub knows what it has to end.
    this.#change('queued');
    void this.#context.save().then(() => this.#endSandbox());
    return true;
  }

  /** One after another, because the room for each depends on the end that the one before has set. @throws TunlError SANDBOX_ENDED, NOT_ALLOWED */
  extend(ms: number): Promise<void> {
    const before = this.#extending;
    this.#extending = before.catch(() => {}).then(() => this.#extend(ms));
    return this.#extending;
  }

  async #extend(ms: number): Promise<void> {
    const {record, template} = this;
    const sandbox = this.#sandbox;
    if (record.state !== 'ready' || sandbox === undefined) throw doesNotRun();
    if (record.stopsAt !== undefined)
      record.stopsAt = await sandbox.extend(extensionOf(record, template, ms));
    this.#ledger.note({source: 'extend', at: this.#context.wallNow(), isNow: false});
    await this.#context.save();
    this.#context.emit('state');
  }

  async #resume(): Promise<void> {
    const {record, template} = this;
    try {
      if (record.state === 'stopping') {
        this.#stopReason ??= record.end ?? {reason: 'asked', detail: 'It was stopped.', tail: []};
        await this.#endSandbox();
        return this.#finish('stopped', this.#stopReason);
      }
      if (record.state === 'queued') {
        // The earlier hub was about to start it again.
        await this.#endSandbox();
        return void (await this.#run(undefined));
      }
      const sandbox = record.sandboxId === undefined ? undefined : await this.#reopen(record.sandboxId);
      if (this.#isDetached) return;
      if (this.#stopReason !== undefined) {
        await this.#endSandbox();
        return this.#finish('stopped', this.#stopReason);
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
      await this.#fail(error);
    }
  }

  #reopen(sandboxId: string): Promise<SandboxControl | undefined> {
    const {clock, open} = this.#context;
    const isYoung = this.record.state === 'starting';
    return reopen({open: () => open(sandboxId), isYoung, clock, signal: this.#stop.signal});
  }

  /** No sandbox outlives its session, also one whose owner does not answer. Never rejects. */
  async #endSandbox(): Promise<void> {
    const {sandboxId} = this.record;
    if (sandboxId !== undefined && !this.#isDetached) await this.#context.end(sandboxId);
  }

  async #fail(error: unknown): Promise<void> {
    const {code, message} = toTunlError(error);
    this.#context.log.error('a session failed', {session: this.record.id, code, reason: message});
    await this.#endSandbox();
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
        else if (!(await this.#startsAgain(end))) {
          if (this.#stopReason !== undefined) return this.#finish('stopped', this.#stopReason);
          return this.#finish(isForeseen(end) ? 'stopped' : 'failed', end);
        }
      }
    } catch (error) {
      await this.#fail(error);
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
      this.#settle();
    }
    let current: SandboxControl = sandbox;
    for (;;) {
      const ended: SandboxEnd = await current.ended;
      // The owner may have been silent for a while, or this hub was: the sandbox still runs then.
      const isWanted = this.#stopReason === undefined && !this.#isRestarting && !this.#isDetached;
      const mayRun = ended.reason === 'lost' && isWanted;
      const again = mayRun ? await this.#reopen(current.id).catch(() => undefined) : undefined;
      if (again === undefined) {
        if (ended.reason === 'lost') await this.#endSandbox();
        return endOf(ended, await this.tail());
      }
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
          await this.#endSandbox();
          return result.end;
        }
        await this.#becomeReady(sandbox);
        return {sandbox};
      } finally {
        this.#context.leaveQueue();
      }
    } catch (error) {
      // Also when `start` has failed: the owner may run already.
      await this.#endSandbox();
      if (signal.aborted) return this.#stopReason ?? {reason: 'asked', detail: 'It was stopped.', tail: []};
      const {code, message} = toTunlError(error);
      const about = {session: this.record.id, code, reason: message};
      this.#context.log.warn('a session could not be started', about);
      return notStarted(error);
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
    this.#settle();
  }

  /** Waits before the next start. False: it does not start again. */
  async #startsAgain(end: SessionEnd): Promise<boolean> {
    const {record, template} = this;
    const next = nextStart(record, template, {end, now: this.#context.wallNow()});
    if (next === undefined) return false;
    record.restarts = next.restarts;
    if (this.#isSettled) this.#unsettle();
    this.#sandbox = undefined;
    record.sandboxId = undefined;
    this.#change('queued');
    await pause(this.#context.clock, next.delayMs, this.#stop.signal);
    return this.#stopReason === undefined && !this.#isDetached;
  }

  #settle(): void {
    this.#isSettled = true;
    this.#settled.resolve();
  }

  #unsettle(): void {
    this.#isSettled = false;
    this.#settled = Promise.withResolvers<void>();
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
      this.#settle();
      this.#over.resolve();
    });
  }
}

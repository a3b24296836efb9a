// All sessions of a hub: starts them in turn and within their limits, watches what keeps them alive, and takes over those that
// outlived an earlier hub.

import type {Timer} from '../core/clock.js';
import {TunlError, toTunlError} from '../core/errors.js';
import {randomBytes} from '../core/node-crypto.js';
import type {SandboxControl} from '../sandbox/control.js';
import {lookAt} from './activity.js';
import {shortage} from './capacity.js';
import {doesNotRun, LiveSession} from './live-session.js';
import {orAborted} from './or-aborted.js';
import {HOME, sandboxWish} from './sandbox-wish.js';
import {SecretFilter} from './secret-filter.js';
import {isFinal, type SessionEvent, type SessionRecord, type SessionView} from './session.js';
import {SessionTable} from './session-table.js';
import {checkRoom, checkSessionName, findSame, type SessionWish, templateOf} from './session-wish.js';
import type {SessionsOptions} from './sessions-options.js';
import {StartQueue} from './start-queue.js';
import type {ProgramSite, Template} from './template.js';
import {type HubUser, randomId} from './users.js';

/** How often each session is looked at, ms. A session stops at most this long after it became idle. */
const LOOK_EVERY_MS = 15_000;
/** Looks in a row without an answer of a program, before it counts as idle: five minutes. */
const MOST_SILENT_LOOKS = 20;

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #wallNow: () => number;
  readonly #table = new SessionTable((id) => this.#queue.placeOf(id));
  readonly #listeners = new Set<(event: SessionEvent, userId: string) => void>();
  readonly #queue: StartQueue;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#wallNow = options.wallNow ?? Date.now;
    this.#queue = new StartQueue(options.startsAtOnce, () => this.#tellQueued());
  }

  /** Takes over what runs. Sessions that were waiting start again; those whose sandbox is gone end or restart by their rule. */
  async start(): Promise<void> {
    const records = await this.#options.folder.readAll();
    await Promise.all(records.map((record) => this.#takeOver(record)));
    this.#lookLater();
  }

  /** Leaves sessions running: the next hub takes them over. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#listeners.clear();
    for (const live of this.#table.live.values()) live.detach();
  }

  /**
   * A session that answers to the wish: a new one, or the one with the same name or the same request.
   *
   * @throws TunlError HUB_TEMPLATE_UNKNOWN, HUB_NAME_USED, HUB_QUOTA, HUB_FULL, OPTION_INVALID
   */
  async create(user: HubUser, wish: SessionWish, signal?: AbortSignal): Promise<SessionView> {
    const template = templateOf(this.#options.templates, wish.template);
    const name = wish.name === undefined ? undefined : checkSessionName(wish.name);
    const short = await shortage(this.#options.stateDir, this.#options.floors);
    for (;;) {
      const {live} = this.#table;
      const about = {user, template, wish: {...wish, name}, now: this.#wallNow()};
      const same = findSame({live, records: this.#table.records()}, about);
      if (same === undefined) break;
      if (same.endsFirst === undefined) return this.#table.viewOf(same.record);
      await orAborted(same.endsFirst, signal);
    }
    if (this.#isClosed) throw new TunlError('HUB_AWAY', {reason: 'The hub is ending.'});
    // From here to the entry in the queue nothing waits, so requests at the same time cannot pass the limits together.
    if (short !== undefined) throw new TunlError('HUB_FULL', {reason: short});
    const {mostSessions, mostQueued} = this.#options;
    checkRoom(this.#table, user, {mostSessions, mostQueued, queued: this.#queue.length});
    const record: SessionRecord = {
      id: randomId('s_', 8),
      userId: user.id,
      template: template.name,
      label: randomId('n', 11),
      secret: randomBytes(24).toString('base64url'),
      createdAt: this.#wallNow(),
      state: 'queued',
      restarts: 0,
      ...(name !== undefined && {name}),
      ...(wish.requestKey !== undefined && {requestKey: wish.requestKey}),
    };
    this.#table.names.set(user.id, user.name);
    const live = this.#newLive(record, template, user);
    live.begin();
    this.#tell('state', record);
    await this.#save(record);
    return this.#table.viewOf(record);
  }

  /** Resolves when it is ready or over, at the latest when the signal aborts. */
  async settled(id: string, signal: AbortSignal): Promise<SessionView | undefined> {
    const live = this.#table.live.get(id);
    if (live !== undefined) await orAborted(live.settled, signal).catch(() => {});
    return this.view(id);
  }

  view(id: string): SessionView | undefined {
    return this.#table.view(id);
  }

  ownerOf(id: string): string | undefined {
    return this.#table.recordOf(id)?.userId;
  }

  /** Running ones first, then those that ended. @param userId undefined: of all users */
  list(userId?: string): readonly SessionView[] {
    return this.#table.list(userId);
  }

  /** @throws TunlError HUB_SESSION_UNKNOWN */
  sandboxOf(id: string): SandboxControl | undefined {
    const live = this.#table.live.get(id);
    if (live === undefined && !this.#table.ended.has(id)) throw new TunlError('HUB_SESSION_UNKNOWN');
    return live?.sandbox;
  }

  /** Removes the session's token from its output. */
  hiderOf(id: string): SecretFilter {
    const secret = this.#table.recordOf(id)?.secret;
    return new SecretFilter(secret === undefined ? [] : [secret]);
  }

  /** The last lines of the output, without secrets. */
  async tailOf(id: string): Promise<readonly string[]> {
    const live = this.#table.live.get(id);
    return live === undefined ? (this.#table.recordOf(id)?.end?.tail ?? []) : await live.tail();
  }

  /**
   * Counts as activity, and lengthens its life as far as its template allows.
   *
   * @throws TunlError HUB_SESSION_UNKNOWN, SANDBOX_ENDED, NOT_ALLOWED when it has its longest life
   */
  async extend(id: string, ms: number): Promise<SessionView> {
    const live = this.#table.live.get(id);
    if (live === undefined) throw this.#doesNotRun(id);
    await live.extend(ms);
    return this.#table.viewOf(live.record);
  }

  /** @throws TunlError HUB_SESSION_UNKNOWN */
  async stop(id: string, detail = 'Its user stopped it.'): Promise<SessionView> {
    const live = this.#table.live.get(id);
    if (live !== undefined) await live.end({reason: 'asked', detail, tail: []});
    const view = this.view(id);
    if (view === undefined) throw new TunlError('HUB_SESSION_UNKNOWN');
    return view;
  }

  /** Another sandbox with the same address and files. @throws TunlError HUB_SESSION_UNKNOWN, SANDBOX_ENDED */
  restart(id: string): SessionView {
    const live = this.#table.live.get(id);
    if (live?.restart()) return this.#table.viewOf(live.record);
    throw this.#doesNotRun(id);
  }

  onEvent(listener: (event: SessionEvent, userId: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Looks at every session now. */
  async look(): Promise<void> {
    const looks = [...this.#table.live.values()].map((live) => this.#lookAtOne(live));
    for (const look of await Promise.allSettled(looks))
      if (look.status === 'rejected') this.#options.log.error('a look failed', {reason: String(look.reason)});
    for (const {id, userId} of this.#table.forgetOld(this.#wallNow())) {
      this.#emit({type: 'gone', id}, userId);
      void this.#options.folder.remove(id).catch(() => {});
    }
  }

  // ── One session ──

  #doesNotRun(id: string): TunlError {
    return this.view(id) === undefined ? new TunlError('HUB_SESSION_UNKNOWN') : doesNotRun();
  }

  async #takeOver(record: SessionRecord): Promise<void> {
    const user = await this.#options.userById(record.userId);
    this.#table.names.set(record.userId, user?.name ?? record.userId);
    if (isFinal(record.state)) {
      this.#table.ended.set(record.id, record);
      return;
    }
    const template = this.#options.templates.get(record.template);
    if (user !== undefined && template !== undefined) {
      this.#newLive(record, template, user).takeOver();
      return;
    }
    if (record.sandboxId !== undefined) await this.#end(record, record.sandboxId);
    await this.#close(record, user === undefined ? 'Its user was removed.' : 'Its template was removed.');
  }

  async #end(record: SessionRecord, sandboxId: string): Promise<void> {
    await this.#options.sandboxes.end(sandboxId).catch((error: unknown) => {
      const {code, message} = toTunlError(error);
      const about = {session: record.id, sandbox: sandboxId, code, reason: message};
      this.#options.log.error('the sandbox of a session cannot be ended', about);
    });
  }

  async #close(record: SessionRecord, detail: string): Promise<void> {
    record.state = 'stopped';
    record.endedAt = this.#wallNow();
    record.end = {reason: 'asked', detail, tail: []};
    this.#table.ended.set(record.id, record);
    await this.#save(record);
  }

  #newLive(record: SessionRecord, template: Template, user: HubUser): LiveSession {
    const {clock, log, sandboxes, homes} = this.#options;
    const live = new LiveSession({
      clock,
      wallNow: this.#wallNow,
      log,
      template,
      record,
      enterQueue: (signal) => this.#queue.enter({id: record.id, userId: record.userId}, signal),
      leaveQueue: () => this.#queue.leave(record.id),
      outputOf: (sandboxId) => sandboxes.outputOf(sandboxId),
      site: () => this.#siteOf(record, template),
      newId: () => sandboxes.newId(),
      open: (sandboxId) => sandboxes.open(sandboxId),
      end: (sandboxId) => this.#end(record, sandboxId),
      endOf: (sandboxId) => sandboxes.endOf(sandboxId),
      start: async (id) => {
        const home = template.home === 'persistent' ? await homes.prepare(user, template.name) : undefined;
        const about = {id, label: record.label, site: this.#siteOf(record, template), home};
        return await sandboxes.start(sandboxWish(template, {...about, hostUid: homes.uidOf(user)}));
      },
      save: () => this.#save(record),
      emit: (type) => {
        if (type === 'state') this.#tell('state', record);
      },
    });
    this.#table.live.set(record.id, live);
    void live.over.then(() => {
      this.#table.live.delete(record.id);
      this.#table.ended.set(record.id, record);
    });
    return live;
  }

  #siteOf({label, secret}: SessionRecord, {port}: Template): ProgramSite {
    return {port, secret, home: HOME, ...this.#options.addressOf(label)};
  }

  async #lookAtOne(live: LiveSession): Promise<void> {
    const {record, sandbox, ledger, template} = live;
    if ((await this.#options.userById(record.userId)) === undefined) {
      void live.end({reason: 'asked', detail: 'Its user was removed.', tail: []});
      return;
    }
    if (record.state !== 'ready' || sandbox === undefined) return;
    const fact = await lookAt(sandbox, template, record.secret, this.#wallNow());
    if (fact.keptBy !== undefined) ledger.note(fact.keptBy);
    else if (fact.reached === 'all') ledger.rest();
    live.silentLooks = fact.reached === 'all' ? 0 : live.silentLooks + 1;
    // A busy machine delays answers: what did not answer once is not idle yet. What never answers is.
    if (fact.reached !== 'all' && live.silentLooks < MOST_SILENT_LOOKS) return;
    if (record.state !== 'ready' || this.#isClosed) return;
    const now = this.#wallNow();
    if (ledger.isIdle(now)) {
      const minutes = Math.round(template.idleMs / 60_000);
      void live.end({reason: 'idle', detail: `Nobody used it for ${minutes} minutes.`, tail: []});
      return;
    }
    const warning = ledger.warning(now, record.stopsAt);
    if (warning !== undefined) {
      const session = this.#table.viewOf(record);
      this.#emit({type: 'warning', session, ...warning}, record.userId);
    }
  }

  #lookLater(): void {
    this.#timer = this.#options.clock.after(LOOK_EVERY_MS, () => {
      void this.look().finally(() => {
        if (!this.#isClosed) this.#lookLater();
      });
    });
  }

  // ── Views and events ──

  #tell(type: 'state', record: SessionRecord): void {
    const session = this.#table.viewOf(record);
    this.#emit({type, session}, record.userId);
  }

  #tellQueued(): void {
    for (const {record} of this.#table.live.values())
      if (record.state === 'queued') this.#tell('state', record);
  }

  #emit(event: SessionEvent, userId: string): void {
    for (const listener of this.#listeners) listener(event, userId);
  }

  async #save(record: SessionRecord): Promise<void> {
    await this.#options.folder.write(record).catch((error: unknown) => {
      this.#options.log.error('the record of a session cannot be written', {
        session: record.id,
        reason: String(error),
      });
    });
  }
}

// The machine with the upstream: keeps one session to one relay alive over as many links as it takes, and its binds with it.

import {Backoff} from '../core/backoff.js';
import {atMost, type Clock, systemClock} from '../core/clock.js';
import {TunlError, toTunlError} from '../core/errors.js';
import {Link} from '../mux/link.js';
import {AgentTicket} from '../mux/resume-ticket.js';
import {Session} from '../mux/session.js';
import type {Stream} from '../mux/stream.js';
import {offerStream, type StreamHandlers} from '../mux/stream-kinds.js';
import type {TunnelRequest} from '../protocol/control-messages.js';
import {MalformedMessage} from '../protocol/fields.js';
import type {Goaway, Welcome} from '../protocol/link-messages.js';
import {KIND, type StreamKind} from '../protocol/wire.js';
import type {AgentOptions, AwayState} from './agent-options.js';
import {AgentSessions, type Resumable} from './agent-sessions.js';
import {type BindingOwner, Bindings, type Bound} from './bindings.js';
import {Greetings} from './greetings.js';
import {endsAgent} from './last-word.js';
import {LinkSearch, type Verdict} from './link-search.js';
import {LinkTrial} from './link-trial.js';
import {type OpenOptions, Opens} from './opens.js';
import {type Place, RelayPlaces} from './relay-places.js';

type Phase =
  | {is: 'new'}
  /** There was no link yet: `start` waits for the first. */
  | {is: 'starting'; first: PromiseWithResolvers<void>}
  | {is: 'serving'}
  | {is: 'ended'; why: TunlError | undefined};

export class Agent {
  readonly #options: AgentOptions;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  readonly #search: LinkSearch;
  readonly #bindings: Bindings;
  readonly #opens: Opens;
  readonly #onStream: StreamHandlers;
  readonly #places: RelayPlaces;
  readonly #sessions = new AgentSessions();
  /** Timers of the clock do not hold the process; an agent that waits for its link has to. */
  readonly #keepAlive = setInterval(() => {}, 2 ** 30);
  #phase: Phase = {is: 'new'};
  #link: Link | undefined;
  #relayFeatures: readonly string[] = [];
  #lostAt = 0;
  /** Streams that were open when the link was lost. */
  #streamsBefore = 0;
  readonly #trial: LinkTrial;
  readonly #greetings = new Greetings();
  #gone: Promise<void> | undefined;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#trial = new LinkTrial(this.#clock);
    const {events} = options;
    this.#bindings = new Bindings({
      clock: this.#clock,
      mostAwayMs: this.#mostAwayMs,
      send: (message) => this.#sessions.current?.session.sendControl(message),
      onRefused: (error, attempt, delayMs) => this.#tellWaiting('refused', error, attempt, delayMs),
      onBoundAgain: (awayMs) => events.onResumed(awayMs, 0, 0),
    });
    this.#onStream = {
      ...options.onStream,
      [KIND.visitor]: (stream, about) => this.#bindings.onVisitor(stream, about),
    };
    this.#opens = new Opens({
      clock: this.#clock,
      session: () => (this.#link === undefined ? undefined : this.#sessions.current?.session),
    });
    this.#places = new RelayPlaces({
      clock: this.#clock,
      onHomeward: () => {
        // A link that is away is looked for where its session is.
        if (this.#phase.is !== 'serving' || this.#link === undefined) return false;
        this.#search.hurry();
        return true;
      },
    });
    this.#backoff = new Backoff({clock: this.#clock});
    this.#search = new LinkSearch({
      clock: this.#clock,
      backoff: this.#backoff,
      connect: (signal) => this.#try(signal),
      judge: (error) => this.#judge(error),
      keptMs: () => this.#keptMs(),
      onWaiting: (error, attempt, delayMs) => {
        const state = error.code === 'RELAY_LEAVING' ? 'leaving' : 'away';
        this.#tellWaiting(state, error, attempt, delayMs);
      },
      onGaveUp: (cause) => this.destroy(this.#gaveUp(cause)),
    });
  }

  get streamCount(): number {
    return this.#sessions.streamCount;
  }

  get rttMs(): number | undefined {
    return this.#link?.lastRttMs;
  }

  /** Resolves with the first link. @throws TunlError why there is none; with `wait` only a final reason, or the last one in time. */
  async start(): Promise<void> {
    if (this.#phase.is === 'ended') throw this.#phase.why ?? new TunlError('ABORTED');
    const first = Promise.withResolvers<void>();
    this.#phase = {is: 'starting', first};
    // Without `wait` the one attempt has limits of its own.
    this.#search.begin(this.#options.wait ? this.#mostAwayMs : Number.POSITIVE_INFINITY);
    await first.promise;
  }

  /** Asks for a tunnel. @throws TunlError the relay's reason. */
  async bind(wish: TunnelRequest, owner: BindingOwner): Promise<Bound> {
    if (this.#phase.is === 'ended') throw this.#phase.why ?? new TunlError('CLOSED');
    return await this.#bindings.add(wish, owner);
  }

  /** No new visitors for this owner's tunnels, and no answer to its binds; open streams go on. */
  unbind(owner: BindingOwner, error: TunlError = new TunlError('CLOSED')): void {
    this.#bindings.drop(owner, error);
  }

  /** Whether there is a link now. */
  get linked(): boolean {
    return this.#link !== undefined;
  }

  /**
   * Opens a stream at the relay; its first bytes may follow at once. Waits for a link, so long as `options` say. A stream belongs
   * to the session of its moment: after a goodbye of the relay that is the next one, and streams of before finish where they are.
   *
   * @throws TunlError RELAY_TIMEOUT (no link), RELAY_BUSY (too many), ABORTED, or why the agent has ended.
   */
  async open(kind: StreamKind, about: object, options: OpenOptions = {}): Promise<Stream> {
    if (this.#phase.is === 'ended') throw this.#phase.why ?? new TunlError('CLOSED');
    return await this.#opens.open(kind, about, options);
  }

  /** Additions to the first form of the protocol that the relay of the last link supports. */
  get relayFeatures(): readonly string[] {
    return this.#relayFeatures;
  }

  /**
   * Whether the link still lives is in doubt: it has to answer within `withinMs`. A new one is tried at once, beside
   * it (the relay fences the old one when the new one is there) or instead of waiting for the next retry. An attempt
   * that is under way may come from an address that this machine no longer has: it is begun anew.
   */
  nudge(withinMs: number): void {
    // The first link is tried for as it was asked for.
    if (this.#phase.is !== 'serving') return;
    this.#link?.probe(withinMs);
    this.#search.hurry();
  }

  /** The machine was asleep, or its clock was set: a link has to answer within `withinMs`, and nobody waits for the next try. */
  wake(withinMs: number): void {
    if (this.#link === undefined) this.nudge(withinMs);
    else this.#link.probe(withinMs);
  }

  /** The relay refuses new visitors for all tunnels of this agent from now on; open streams go on. */
  unbindAll(): void {
    for (const tunnel of this.#bindings.tunnels())
      this.#sessions.current?.session.sendControl({type: 'unbind', tunnel});
  }

  /** Over: the relay is told, open streams are reset. Idempotent. */
  close(): void {
    this.#finish(undefined);
  }

  /** Like `close`, and `error` is why. */
  destroy(error: TunlError): void {
    this.#finish(error);
  }

  /**
   * Resolves when the relay has heard that the agent is over, or had its time to: a process that ends sooner takes the last
   * words with it, and the relay would keep the visitors for an agent that never comes.
   */
  async gone(): Promise<void> {
    await this.#gone;
  }

  /** Whether the relay has yet to acknowledge something. */
  get isBehind(): boolean {
    return this.#sessions.isBehind;
  }

  /** Like `close`; before it the last bytes have `lastBytesMs` to arrive. Resolves like `gone`. */
  async leave(lastBytesMs: number): Promise<void> {
    if (lastBytesMs > 0) await atMost(this.#clock, lastBytesMs, this.#sessions.delivered());
    this.close();
    await this.gone();
  }

  #finish(why: TunlError | undefined): void {
    const before = this.#phase;
    if (before.is === 'ended') return;
    this.#phase = {is: 'ended', why};
    const gone = [this.#sessions.linksGone(), this.#greetings.leave()];
    this.#gone = atMost(this.#clock, GOODBYE_MS, Promise.all(gone));
    for (const session of this.#sessions.takeAll()) session.close();
    this.#link = undefined;
    this.#search.end();
    this.#places.end();
    clearInterval(this.#keepAlive);
    this.#bindings.fail(why ?? new TunlError('CLOSED'));
    this.#opens.fail(why ?? new TunlError('CLOSED'));
    this.#options.events.onEnded(why);
    if (before.is === 'starting') before.first.reject(why ?? new TunlError('ABORTED'));
  }

  // ── Places ──

  /** One attempt, at the place that is due. */
  async #try(signal: AbortSignal): Promise<void> {
    const place = this.#places.take();
    try {
      await this.#connect(signal, place);
    } catch (error) {
      // An attempt that is given up for another one says nothing of the place.
      if (!signal.aborted) this.#failedAt(place);
      throw error;
    }
  }

  #failedAt(place: Place): void {
    const {current} = this.#sessions;
    if (current === undefined || place.isHomeward) {
      this.#places.failed(place);
      return;
    }
    // A session is only where it was: its place is asked for it, but elsewhere not for ever.
    if (place.url === undefined || this.#link !== undefined) return;
    const awayMs = this.#clock.now() - this.#lostAt;
    if (current.session.streamCount > 0 && awayMs < ELSEWHERE_AWAY_MS) return;
    this.#sessions.current = undefined;
    current.session.destroy(new TunlError('RELAY_LOST'));
    this.#places.homeFirst();
  }

  /** The agent is back at its own relay: the session that it had elsewhere is over for new visitors. */
  #leaveElsewhere(): void {
    const {current} = this.#sessions;
    if (current === undefined) return;
    this.unbindAll();
    for (const session of this.#sessions.retire()) session.close();
    this.#sessions.closeWhenIdle(current.session, this.#clock);
  }

  // ── Links ──

  /** One link, from the dial to the welcome. */
  async #connect(signal: AbortSignal, place: Place): Promise<void> {
    const {dial, software, identify} = this.#options;
    const clock = this.#clock;
    const carrier = await dial(signal, place.url);
    if (signal.aborted) {
      carrier.destroy();
      throw new TunlError('ABORTED');
    }
    const link = new Link(carrier, {clock});
    const resumed = place.isHomeward ? undefined : this.#sessions.current;
    let expired = false;
    await this.#greetings.greet(
      link,
      {
        software,
        signal,
        clock,
        ...(identify === undefined ? {} : {identify}),
        ...(resumed === undefined ? {} : {resume: {ticket: resumed.ticket, received: resumed.session}}),
      },
      (welcome, features) => {
        expired = resumed?.session.ended ?? false;
        if (expired) {
          link.endWith('CLOSED', 'the session ended meanwhile');
          return;
        }
        if (place.isHomeward) this.#leaveElsewhere();
        this.#places.arrived(place);
        this.#relayFeatures = features;
        this.#attach(link, welcome, resumed);
      },
    );
    // The resume window passed here while the relay agreed: the next attempt asks for a new session.
    if (expired) throw new TunlError('RESUME_EXPIRED');
  }

  #attach(link: Link, welcome: Welcome, resumed: Resumable | undefined): void {
    const absence = this.#search.found();
    const before = this.#phase;
    if (before.is === 'starting') this.#phase = {is: 'serving'};
    this.#link = link;
    const current = resumed ?? this.#begin(welcome);
    const {session} = current;
    current.resumeWindowMs = welcome.resumeWindowMs;
    const resumedStreams = session.streamCount;
    session.attach(link, welcome.received);
    this.#trial.begin(session, resumed !== undefined);
    if (resumed === undefined) this.#bindings.bindAgain();
    this.#opens.linked();
    if (before.is === 'starting') before.first.resolve();
    // A link that broke in the same breath is not back; whoever was told hears of the next one.
    else if (absence?.told && this.#link === link) {
      const lost = Math.max(0, this.#streamsBefore - resumedStreams);
      this.#options.events.onResumed(absence.awayMs, resumedStreams, lost);
    }
  }

  #begin(welcome: Welcome): Resumable {
    this.#sessions.current = {
      session: this.#newSession(welcome),
      ticket: new AgentTicket(welcome.id, welcome.secret ?? '', welcome.epoch),
      resumeWindowMs: welcome.resumeWindowMs,
    };
    return this.#sessions.current;
  }

  #judge(error: TunlError): Verdict {
    if (this.#phase.is === 'starting' && !this.#options.wait) return this.#never(error);
    if (NEEDS_NEW_SESSION.has(error.code) && this.#phase.is === 'serving') {
      // The relay has no such session any more: its streams are lost, its names are not.
      const session = this.#sessions.current?.session;
      this.#sessions.current = undefined;
      session?.destroy(error);
      if (session !== undefined && this.#places.triedElsewhere) this.#places.homeFirst();
      return session === undefined ? 'later' : 'at-once';
    }
    // A relay that another one has named decides nothing.
    return this.#isFinal(error) && !this.#places.triedElsewhere ? this.#never(error) : 'later';
  }

  /** Whether no further attempt makes sense. Once visitors may know an address, only the relay can say so. */
  #isFinal(error: TunlError): boolean {
    return this.#bindings.hasServed ? endsAgent(error) : !error.retryable;
  }

  #never(error: TunlError): Verdict {
    this.destroy(error);
    return 'never';
  }

  #gaveUp(cause: TunlError | undefined): TunlError {
    if (this.#phase.is === 'starting') return cause ?? new TunlError('RELAY_TIMEOUT');
    return new TunlError('RELAY_LOST', {reason: `gave up: ${cause?.message ?? 'no answer'}`, cause});
  }

  /** How long a link may be away, ms. */
  get #mostAwayMs(): number {
    return this.#options.maxRetryTimeMs ?? Number.POSITIVE_INFINITY;
  }

  #tellWaiting(state: AwayState, error: TunlError, attempt: number, delayMs: number): void {
    const {current} = this.#sessions;
    // Those of a relay that goes away on purpose, or of one that refuses a tunnel, have their link.
    const streams = this.#link === undefined ? (current?.session.streamCount ?? 0) : 0;
    const keptForMs = current?.resumeWindowMs ?? 0;
    this.#options.events.onReconnecting({state, error, attempt, delayMs, streams, keptForMs});
  }

  /** For how long the streams that wait for a link are still kept, ms; undefined: none waits. */
  #keptMs(): number | undefined {
    const {current} = this.#sessions;
    if (current === undefined || current.session.streamCount === 0) return undefined;
    return this.#lostAt + current.resumeWindowMs - this.#clock.now();
  }

  /** There was a link and now there is none. */
  #lose(error: TunlError, streams: number): void {
    this.#link = undefined;
    this.#lostAt = this.#clock.now();
    this.#streamsBefore = streams;
    this.#options.log.info('link lost', {code: error.code, reason: error.message, streams});
    // Nobody has the tunnel's name yet, and who asked for it waits: not for ever, unless that was the wish.
    const isFirst = !this.#options.wait && this.#bindings.unanswered;
    this.#search.lost(error, isFirst ? Math.min(UNBOUND_AWAY_MS, this.#mostAwayMs) : this.#mostAwayMs);
  }

  // ── Sessions ──

  #newSession(welcome: Welcome): Session {
    const session: Session = new Session({
      role: 'agent',
      pool: this.#options.pool,
      clock: this.#clock,
      resumeWindowMs: welcome.resumeWindowMs,
      keepForReplay: this.#options.keepForReplay ?? true,
      sink: {
        onOpen: (stream, about) => offerStream(this.#onStream, stream, about, undefined),
        onControl: (payload) => this.#onControl(session, payload),
        onGoaway: (message) => this.#onGoaway(session, message),
        onDetached: (error) => this.#onDetached(session, error),
        onEnded: (error) => this.#onSessionEnded(session, error),
      },
    });
    return session;
  }

  #onControl(session: Session, payload: Buffer): void {
    // A retired session's word about tunnels is about numbers that mean others by now.
    if (!this.#sessions.isCurrent(session)) return;
    try {
      this.#bindings.onControl(payload);
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      session.onViolation(`a malformed control message: ${error.message}`);
    }
  }

  /** The relay goes away on purpose: its streams finish where they are, a new session begins where it says. */
  #onGoaway(session: Session, {afterMs, relays}: Goaway): void {
    if (!this.#sessions.isCurrent(session)) return;
    this.#options.log.info('the relay goes away', {afterMs, relays: relays.join(' ')});
    const {followed, refused} = this.#options.successors?.judge(relays) ?? {followed: [], refused: undefined};
    const {onNotice} = this.#options.events;
    if (refused !== undefined) onNotice(refused.code, refused.message);
    if (followed.length > 0)
      onNotice('RELAY_LEAVING', `The relay sends this agent to ${followed.join(', ')}.`);
    this.#places.sentTo(followed);
    for (const session of this.#sessions.retire()) session.close();
    this.#link = undefined;
    this.#streamsBefore = 0;
    this.#search.sentAway(new TunlError('RELAY_LEAVING'), afterMs, this.#mostAwayMs);
  }

  #onDetached(session: Session, error: Error | undefined): void {
    // Its relay is going: there will be nobody to resume it with.
    if (this.#sessions.isRetired(session)) session.destroy(new TunlError('RELAY_LOST'));
    if (!this.#sessions.isCurrent(session)) return;
    if (this.#trial.end(session)) this.#backoff.proven();
    this.#lose(toTunlError(error ?? new TunlError('RELAY_LOST'), 'RELAY_LOST'), session.streamCount);
  }

  #onSessionEnded(session: Session, error: TunlError | undefined): void {
    if (!this.#sessions.forget(session)) return;
    if (this.#places.servesElsewhere) this.#places.homeFirst();
    // The resume window passed: the search goes on, for a new session.
    if (this.#link === undefined) return;
    const why = error ?? new TunlError('RELAY_LOST', {reason: 'the relay ended the session'});
    // A session that broke, whoever broke it, is followed by another one.
    if (this.#isFinal(why) && !NEEDS_NEW_SESSION.has(why.code)) this.#finish(why);
    else this.#lose(why, 0);
  }
}

/** How long a relay may take to hear that the agent leaves: who has gone, or is far behind, is not waited for. */
const GOODBYE_MS = 1_000;

/** Streams whose link to a relay elsewhere was away for so long are given up for a relay that takes the agent, ms. */
const ELSEWHERE_AWAY_MS = 60_000;

/** How long a link may be away that was lost before the relay had answered to the first wishes, ms. */
const UNBOUND_AWAY_MS = 10_000;

/** Refusals of a resume after which the agent starts afresh. */
const NEEDS_NEW_SESSION: ReadonlySet<string> = new Set([
  'SESSION_UNKNOWN',
  'SESSION_PROOF',
  'SESSION_STALE',
  'SESSION_RANGE',
]);

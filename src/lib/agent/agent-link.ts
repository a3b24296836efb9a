// The agent's link to its relay: one session over any number of links, at the places where the relay may be.

import {Backoff} from '../core/backoff.js';
import {atMost, type Clock} from '../core/clock.js';
import {TunlError, toTunlError} from '../core/errors.js';
import {Link} from '../mux/link.js';
import type {Session} from '../mux/session.js';
import {offerStream, type StreamHandlers} from '../mux/stream-kinds.js';
import {MalformedMessage} from '../protocol/fields.js';
import {FEATURE_TICKETS, FEATURE_WARNINGS, type Goaway, type Welcome} from '../protocol/link-messages.js';
import type {AgentEvents, AgentOptions, AwayState} from './agent-options.js';
import {AgentSessions, type Resumable} from './agent-sessions.js';
import type {Bindings} from './bindings.js';
import {Greetings} from './greetings.js';
import {LinkSearch} from './link-search.js';
import {LinkTrial} from './link-trial.js';
import {type Place, RelayPlaces} from './relay-places.js';
import {isFinal, needsNewSession, type Verdict, verdictOn} from './verdict.js';

type LinkOptions = Omit<AgentOptions, 'clock' | 'events' | 'onStream' | 'onProbe' | 'maxRetryTimeMs'>;

export interface AgentLinkOptions extends LinkOptions {
  clock: Clock;
  /** The longest time without a link, ms. */
  mostAwayMs: number;
  events: Pick<AgentEvents, 'onReconnecting' | 'onResumed' | 'onNotice'>;
  /** Takes streams that the relay opens, in the current session or in a retired one. */
  onStream: StreamHandlers<Session>;
  bindings: Pick<Bindings, 'hasServed' | 'unanswered' | 'bindAgain' | 'onControl' | 'tunnels'>;
  /** A link is in use; the session has asked for its tunnels. */
  onLinked: () => void;
  /** No further attempt makes sense, or the relay has ended the session for good. The owner must call `end`. */
  onOver: (why: TunlError) => void;
}

export class AgentLink {
  readonly sessions: AgentSessions;
  readonly #options: AgentLinkOptions;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  readonly #search: LinkSearch;
  readonly #places: RelayPlaces;
  readonly #trial: LinkTrial;
  readonly #greetings = new Greetings();
  /** There was no link yet. */
  #isFirst = true;
  #link: Link | undefined;
  #relayFeatures: readonly string[] = [];
  #lostAt = 0;
  /** Streams that were open when the link was lost. */
  #streamsBefore = 0;

  constructor(options: AgentLinkOptions) {
    this.#options = options;
    this.#clock = options.clock;
    const {pool, clock, onStream, keepForReplay = true, ownStreams = false} = options;
    this.sessions = new AgentSessions({
      pool,
      clock,
      keepForReplay,
      ownStreams,
      sink: {
        onOpen: (session, stream, about) => offerStream(onStream, stream, about, session),
        onControl: (session, payload) => this.#onControl(session, payload),
        onGoaway: (session, message) => this.#onGoaway(session, message),
        onDetached: (session, error) => this.#onDetached(session, error),
        onEnded: (session, error) => this.#onSessionEnded(session, error),
      },
    });
    this.#trial = new LinkTrial(this.#clock);
    this.#places = new RelayPlaces({
      clock: this.#clock,
      onHomeward: () => {
        // Without a link, only the relay with the session is tried.
        if (this.#link === undefined) return false;
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
      onNewSession: (error) => this.#giveUpSession(error),
      onFinal: (error) => options.onOver(error),
      keptMs: () => this.#keptMs(),
      onWaiting: (error, attempt, delayMs) => {
        const state = error.code === 'RELAY_LEAVING' ? 'leaving' : 'away';
        this.tellWaiting(state, error, attempt, delayMs);
      },
      onGaveUp: (cause) => options.onOver(this.#gaveUp(cause)),
    });
  }

  /** The link in use; undefined when there is none. */
  get link(): Link | undefined {
    return this.#link;
  }

  /** The current session. It may have no link. */
  get session(): Session | undefined {
    return this.sessions.current?.session;
  }

  /** Additions to the first form of the protocol that the relay of the last link supports. */
  get relayFeatures(): readonly string[] {
    return this.#relayFeatures;
  }

  /** Looks for the first link. */
  begin(): void {
    // Without `wait` there is one attempt, and the attempt has its own limits.
    this.#search.begin(this.#options.wait ? this.#options.mostAwayMs : Number.POSITIVE_INFINITY);
  }

  /** As `Agent.nudge`. */
  nudge(withinMs: number): void {
    // `begin` decides alone how the first link is looked for.
    if (this.#isFirst) return;
    this.#link?.probe(withinMs);
    this.#search.hurry();
  }

  /** Resets open streams. Resolves when the relays know of the end, or after GOODBYE_MS. */
  async end(): Promise<void> {
    const gone = [this.sessions.linksGone(), this.#greetings.leave()];
    const known = atMost(this.#clock, GOODBYE_MS, Promise.all(gone));
    for (const session of this.sessions.takeAll()) session.close();
    this.#link = undefined;
    this.#search.end();
    this.#places.end();
    await known;
  }

  // ── Places ──

  /** One attempt, at the next place. */
  async #try(signal: AbortSignal): Promise<void> {
    const place = this.#places.take();
    try {
      await this.#connect(signal, place);
    } catch (error) {
      // An aborted attempt says nothing about the place.
      if (!signal.aborted) this.#failedAt(place);
      throw error;
    }
  }

  #failedAt(place: Place): void {
    const {current} = this.sessions;
    if (current === undefined || place.isHomeward) {
      this.#places.failed(place);
      return;
    }
    // Only the relay that has the session can resume it. For a relay elsewhere the agent waits a limited time.
    if (place.url === undefined || this.#link !== undefined) return;
    const awayMs = this.#clock.now() - this.#lostAt;
    if (this.sessions.interrupted(current.session) > 0 && awayMs < ELSEWHERE_AWAY_MS) return;
    this.sessions.current = undefined;
    current.session.destroy(new TunlError('RELAY_LOST'));
    this.#places.homeFirst();
  }

  /** The agent is back at its own relay. The session elsewhere gets no new visitors. */
  #leaveElsewhere(): void {
    const {current} = this.sessions;
    if (current === undefined) return;
    for (const tunnel of this.#options.bindings.tunnels())
      current.session.sendControl({type: 'unbind', tunnel});
    for (const session of this.sessions.retire()) session.close();
    this.sessions.closeWhenIdle(current.session);
  }

  // ── Links ──

  /** One link, from the dial to the welcome. */
  async #connect(signal: AbortSignal, place: Place): Promise<void> {
    const {dial, software, identify, features = []} = this.#options;
    const clock = this.#clock;
    const carrier = await dial(signal, place.url, place.isHomeward ? undefined : this.sessions.place);
    if (signal.aborted) {
      carrier.destroy();
      throw new TunlError('ABORTED');
    }
    const link = new Link(carrier, {clock});
    const resumed = place.isHomeward ? undefined : this.sessions.current;
    let expired = false;
    await this.#greetings.greet(
      link,
      {
        software,
        features: [FEATURE_WARNINGS, ...features],
        signal,
        clock,
        ...(identify === undefined ? {} : {identify}),
        ...(resumed === undefined ? {} : {resume: {ticket: resumed.ticket, received: resumed.session}}),
      },
      (welcome, relayFeatures) => {
        expired = resumed?.session.ended ?? false;
        if (expired) {
          link.endWith('CLOSED', 'the session ended meanwhile');
          return;
        }
        if (place.isHomeward) this.#leaveElsewhere();
        this.#places.arrived(place);
        this.#relayFeatures = relayFeatures;
        this.#attach(link, welcome, resumed);
      },
    );
    // The session expired here while the relay agreed to resume it. The next attempt asks for a new session.
    if (expired) throw new TunlError('RESUME_EXPIRED');
  }

  #attach(link: Link, welcome: Welcome, resumed: Resumable | undefined): void {
    const absence = this.#search.found();
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    this.#link = link;
    const current = resumed ?? this.sessions.begin(welcome);
    const {session} = current;
    current.resumeWindowMs = welcome.resumeWindowMs;
    current.worker = welcome.worker;
    current.takesTicket = this.#relayFeatures.includes(FEATURE_TICKETS);
    const resumedStreams = this.sessions.interrupted(session);
    session.attach(link, welcome.received);
    this.#trial.begin(session, resumed !== undefined);
    if (resumed === undefined) this.#options.bindings.bindAgain(session);
    this.#options.onLinked();
    if (!isFirst && resumed === undefined) this.#options.onSession?.();
    // If the link broke already, the next one is reported instead.
    if (!isFirst && absence?.told && this.#link === link) {
      const lost = Math.max(0, this.#streamsBefore - resumedStreams);
      this.#options.events.onResumed(absence.awayMs, resumedStreams, lost);
    }
  }

  #judge(error: TunlError): Verdict {
    return verdictOn(error, {
      isFirst: this.#isFirst,
      waits: this.#options.wait ?? false,
      hasSession: this.sessions.current !== undefined,
      hasServed: this.#options.bindings.hasServed,
      triedElsewhere: this.#places.triedElsewhere,
    });
  }

  /** The relay no longer has the session. Its streams are lost, its names are not. */
  #giveUpSession(error: TunlError): void {
    const {session} = this;
    this.sessions.current = undefined;
    session?.destroy(error);
    if (this.#places.triedElsewhere) this.#places.homeFirst();
  }

  #gaveUp(cause: TunlError | undefined): TunlError {
    if (this.#isFirst) return cause ?? new TunlError('RELAY_TIMEOUT');
    return new TunlError('RELAY_LOST', {reason: `gave up: ${cause?.message ?? 'no answer'}`, cause});
  }

  /** Reports that visitors cannot come, and the time until the next attempt. */
  tellWaiting(state: AwayState, error: TunlError, attempt: number, delayMs: number): void {
    const {current} = this.sessions;
    // Streams wait only when the link is lost: a relay that says goodbye, or refuses a tunnel, still has its link.
    const streams = this.#link === undefined ? this.sessions.interrupted(current?.session) : 0;
    const keptForMs = current?.resumeWindowMs ?? 0;
    this.#options.events.onReconnecting({state, error, attempt, delayMs, streams, keptForMs});
  }

  /** How long the streams that wait for a link are still kept, ms. Undefined: no stream waits. */
  #keptMs(): number | undefined {
    const {current} = this.sessions;
    if (current === undefined || this.sessions.interrupted(current.session) === 0) return undefined;
    return this.#lostAt + current.resumeWindowMs - this.#clock.now();
  }

  /** The link is lost. */
  #lose(error: TunlError, streams: number): void {
    this.#link = undefined;
    this.#lostAt = this.#clock.now();
    this.#streamsBefore = streams;
    this.#options.log.info('link lost', {code: error.code, reason: error.message, streams});
    // Nobody knows the tunnel's name yet, and a caller waits for it. Without `wait` it waits for a limited time.
    const isFirst = !this.#options.wait && this.#options.bindings.unanswered;
    const {mostAwayMs} = this.#options;
    this.#search.lost(error, isFirst ? Math.min(UNBOUND_AWAY_MS, mostAwayMs) : mostAwayMs);
  }

  // ── Sessions ──

  #onControl(session: Session, payload: Buffer): void {
    // The numbers of a retired session's tunnels now belong to other tunnels.
    if (!this.sessions.isCurrent(session)) return;
    try {
      this.#options.bindings.onControl(payload);
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      session.onViolation(`a malformed control message: ${error.message}`);
    }
  }

  /** The relay is shutting down. Its streams finish there; a new session begins at the place that the relay names. */
  #onGoaway(session: Session, {afterMs, relays}: Goaway): void {
    if (!this.sessions.isCurrent(session)) return;
    this.#options.log.info('the relay is shutting down', {afterMs, relays: relays.join(' ')});
    const {followed, refused} = this.#options.successors?.judge(relays) ?? {followed: [], refused: undefined};
    const {onNotice} = this.#options.events;
    if (refused !== undefined) onNotice(refused.code, refused.message);
    if (followed.length > 0)
      onNotice('RELAY_LEAVING', `The relay sends this agent to ${followed.join(', ')}.`);
    this.#places.sentTo(followed);
    for (const session of this.sessions.retire()) session.close();
    this.#link = undefined;
    this.#streamsBefore = 0;
    this.#search.sentAway(new TunlError('RELAY_LEAVING'), afterMs, this.#options.mostAwayMs);
  }

  #onDetached(session: Session, error: Error | undefined): void {
    // Its relay is shutting down, so nobody can resume it.
    if (this.sessions.isRetired(session)) session.destroy(new TunlError('RELAY_LOST'));
    if (!this.sessions.isCurrent(session)) return;
    if (this.#trial.end(session)) this.#backoff.proven();
    this.#lose(
      toTunlError(error ?? new TunlError('RELAY_LOST'), 'RELAY_LOST'),
      this.sessions.interrupted(session),
    );
  }

  #onSessionEnded(session: Session, error: TunlError | undefined): void {
    if (!this.sessions.forget(session)) return;
    if (this.#places.servesElsewhere) this.#places.homeFirst();
    // The resume window has passed: the current search asks for a new session.
    if (this.#link === undefined) return;
    const why = error ?? new TunlError('RELAY_LOST', {reason: 'The relay ended the session.'});
    // A new session replaces a broken one, whichever side broke it.
    const {hasServed} = this.#options.bindings;
    if (isFinal(why, hasServed) && !needsNewSession(why)) this.#options.onOver(why);
    else this.#lose(why, 0);
  }
}

/** How long the agent waits for relays to acknowledge its end, ms. A relay that is gone, or far behind, would need longer. */
const GOODBYE_MS = 1_000;

/** After this long without a link to a relay elsewhere its streams are given up, and the agent's own relay is tried, ms. */
const ELSEWHERE_AWAY_MS = 60_000;

/** The longest time without a link that was lost before the relay answered the first bind, ms. */
const UNBOUND_AWAY_MS = 10_000;

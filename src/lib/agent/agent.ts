// The machine with the upstream: keeps one session to one relay alive over as many links as it takes, and its binds with it.

import {Backoff} from '../core/backoff.js';
import {type Clock, systemClock, type Timer} from '../core/clock.js';
import {TunlError, toTunlError} from '../core/errors.js';
import type {Logger} from '../core/logger.js';
import type {BlockPool} from '../mux/blocks.js';
import type {Carrier} from '../mux/carrier.js';
import {greetRelay} from '../mux/handshake.js';
import {Link} from '../mux/link.js';
import {AgentTicket} from '../mux/resume-ticket.js';
import {Session} from '../mux/session.js';
import type {Stream} from '../mux/stream.js';
import {type BindWish, parseVisitorOpen, type VisitorOpen} from '../protocol/control-messages.js';
import {MalformedMessage} from '../protocol/fields.js';
import type {Welcome} from '../protocol/link-messages.js';
import {KIND} from '../protocol/wire.js';
import {type BindingOwner, Bindings, type Bound} from './bindings.js';

export interface AgentEvents {
  /** A link was lost, or an attempt to get one failed; the next attempt follows after `delayMs`. */
  onReconnecting(error: TunlError, attempt: number, delayMs: number, kept: number, keptForMs: number): void;
  onResumed(awayMs: number, resumed: number, lost: number): void;
  /** The agent is over, exactly once. Undefined after `close`. */
  onEnded(error: TunlError | undefined): void;
}

export interface AgentOptions {
  software: string;
  pool: BlockPool;
  events: AgentEvents;
  log: Logger;
  /** One attempt to reach the relay. */
  dial: (signal: AbortSignal) => Promise<Carrier>;
  identify?: (relayNonce: string) => {key: string; signature: string};
  /** Keep trying when the first link cannot be had. Default false. */
  wait?: boolean;
  /** Give up after the link was away this long, ms. Default: never. */
  maxRetryTimeMs?: number;
  /** Without these bytes kept a lost link is the end of its streams (to measure what keeping costs). Default true. */
  keepForReplay?: boolean;
  clock?: Clock;
}

export class Agent {
  readonly #options: AgentOptions;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  readonly #bindings: Bindings;
  readonly #aborter = new AbortController();
  /** Timers of the clock do not hold the process; an agent that waits for its link has to. */
  #keepAlive: NodeJS.Timeout | undefined = setInterval(() => {}, 2 ** 30);
  #session: Session | undefined;
  #ticket: AgentTicket | undefined;
  #link: Link | undefined;
  #resumeWindowMs = 0;
  #ended = false;
  /** What is tried now to get another link. */
  #attempt: AbortController | undefined;
  #retry: Timer | undefined;
  /** Fires when the link has been away for as long as it may. */
  #giveUp: Timer | undefined;
  /** Why there is no link, as far as is known. */
  #failure: TunlError | undefined;
  /** Why the agent is over. */
  #reason: TunlError | undefined;
  /** When the link was lost, and how many streams there were. */
  #away: {since: number; streams: number} | undefined;
  /** Sessions of a relay that is on its way out: their streams may finish, nothing new comes. */
  readonly #retired = new Set<Session>();
  /** Until then a relay that went away on purpose may be gone without a word about it. */
  #quietUntil = 0;
  /** Whether anybody was told that the link is away, and so has to hear that it is back. */
  #told = false;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#backoff = new Backoff({clock: this.#clock});
    this.#bindings = new Bindings();
  }

  get streamCount(): number {
    let count = this.#session?.streamCount ?? 0;
    for (const session of this.#retired) count += session.streamCount;
    return count;
  }

  get up(): boolean {
    return this.#link !== undefined;
  }

  get rttMs(): number | undefined {
    return this.#link?.lastRttMs;
  }

  /** Resolves with the first link. @throws TunlError why there is none; with `wait` only a final reason, or the last one in time. */
  async start(): Promise<void> {
    if (this.#options.wait) this.#giveUpLater(() => this.#failure ?? new TunlError('RELAY_TIMEOUT'));
    for (;;) {
      try {
        await this.#connect(this.#aborter.signal);
        return;
      } catch (error) {
        const why = this.#reason ?? toTunlError(error, 'RELAY_LOST');
        if (!this.#options.wait || !why.retryable || this.#ended) {
          this.#end(why);
          throw why;
        }
        this.#failure = why;
        const delayMs = this.#waitAfter(why);
        this.#options.events.onReconnecting(why, this.#backoff.attempt, delayMs, 0, 0);
        await this.#sleep(delayMs);
      }
    }
  }

  /** Asks for a tunnel. @throws TunlError the relay's reason. */
  async bind(wish: BindWish, owner: BindingOwner): Promise<Bound> {
    if (this.#ended) throw this.#reason ?? new TunlError('CLOSED');
    return await this.#bindings.add(wish, owner, (message) => this.#session?.sendControl(message));
  }

  /**
   * Whether the link still lives is in doubt: it has to answer within `withinMs`. A new one is tried at once, beside
   * it (the relay fences the old one when the new one is there) or instead of waiting for the next retry. An attempt
   * that is under way may come from an address that this machine no longer has: it is begun anew.
   */
  nudge(withinMs: number): void {
    if (this.#ended || !this.#wasUp) return;
    this.#link?.probe(withinMs);
    this.#retry?.cancel();
    this.#attempt?.abort();
    this.#attempt = undefined;
    this.#reconnect();
  }

  /** The machine was asleep, or its clock was set: a link has to answer within `withinMs`, and nobody waits for the next try. */
  wake(withinMs: number): void {
    if (this.#ended || !this.#wasUp) return;
    if (this.#link === undefined) this.nudge(withinMs);
    else this.#link.probe(withinMs);
  }

  /** Before the first link it is `start` that tries. */
  get #wasUp(): boolean {
    return this.#session !== undefined || this.#away !== undefined;
  }

  /** Over: the relay is told, open streams are reset. Idempotent. */
  close(): void {
    for (const session of this.#takeSessions()) session.close();
    this.#end(undefined);
  }

  destroy(error: TunlError): void {
    for (const session of this.#takeSessions()) session.destroy(error);
    this.#end(error);
  }

  /** All sessions, which are the agent's no longer: their ends are wanted and mean nothing to it. */
  #takeSessions(): Session[] {
    const sessions = [...this.#retired, ...(this.#session === undefined ? [] : [this.#session])];
    this.#retired.clear();
    this.#session = undefined;
    return sessions;
  }

  /** The relay refuses new visitors for all tunnels of this agent from now on; open streams go on. */
  unbindAll(): void {
    for (const tunnel of this.#bindings.tunnels()) this.#session?.sendControl({type: 'unbind', tunnel});
  }

  #end(error: TunlError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#reason = error;
    this.#aborter.abort();
    this.#attempt?.abort();
    this.#retry?.cancel();
    this.#giveUp?.cancel();
    clearInterval(this.#keepAlive);
    this.#keepAlive = undefined;
    this.#bindings.fail(error ?? new TunlError('CLOSED'));
    this.#options.events.onEnded(error);
  }

  // ── Links ──

  async #connect(signal: AbortSignal): Promise<void> {
    const carrier = await this.#options.dial(signal);
    if (signal.aborted) {
      carrier.destroy();
      throw new TunlError('ABORTED');
    }
    const link = new Link(carrier, {clock: this.#clock});
    const {software, identify} = this.#options;
    const session = this.#session;
    const ticket = this.#ticket;
    const resume = session === undefined || ticket === undefined ? undefined : {ticket, received: session};
    await greetRelay(
      link,
      {
        software,
        signal,
        clock: this.#clock,
        ...(identify === undefined ? {} : {identify}),
        ...(resume === undefined ? {} : {resume}),
      },
      (welcome) => this.#attach(link, welcome, resume === undefined ? undefined : session),
    );
  }

  #attach(link: Link, welcome: Welcome, resumed: Session | undefined): void {
    if (resumed?.ended) {
      // The resume window passed here while the relay agreed: the next attempt asks for a new session.
      link.endWith('CLOSED', 'the session ended meanwhile');
      this.#later(new TunlError('RESUME_EXPIRED'));
      return;
    }
    this.#link = link;
    // Set when the link before was lost while this one was on its way.
    this.#retry?.cancel();
    this.#retry = undefined;
    this.#giveUp?.cancel();
    this.#backoff.succeeded();
    this.#resumeWindowMs = welcome.resumeWindowMs;
    const away = this.#away;
    this.#away = undefined;
    if (resumed !== undefined) {
      const streams = resumed.streamCount;
      if (resumed.attach(link, welcome.received)) this.#tellBack(away, streams);
      return;
    }
    this.#session = this.#newSession(welcome);
    this.#ticket = new AgentTicket(welcome.id, welcome.secret ?? '', welcome.epoch);
    this.#session.attach(link, welcome.received);
    this.#bindings.bindAgain((message) => this.#session?.sendControl(message));
    this.#tellBack(away, 0);
  }

  #tellBack(away: {since: number; streams: number} | undefined, streams: number): void {
    if (away === undefined || !this.#told) return;
    this.#told = false;
    this.#options.events.onResumed(
      this.#clock.now() - away.since,
      streams,
      Math.max(0, away.streams - streams),
    );
  }

  #newSession(welcome: Welcome): Session {
    const session: Session = new Session({
      role: 'agent',
      pool: this.#options.pool,
      clock: this.#clock,
      resumeWindowMs: welcome.resumeWindowMs,
      keepForReplay: this.#options.keepForReplay ?? true,
      sink: {
        onOpen: (stream, about) => this.#onOpen(stream, about),
        onControl: (payload) => {
          // A retired session's word about tunnels is about numbers that mean others by now.
          if (session !== this.#session) return;
          try {
            this.#bindings.onControl(payload);
          } catch (error) {
            if (!(error instanceof MalformedMessage)) throw error;
            session.onViolation(`a malformed control message: ${error.message}`);
          }
        },
        onGoaway: (message) => this.#onGoaway(session, message.afterMs),
        onDetached: (error) => this.#onDetached(session, error),
        onEnded: (error) => this.#onSessionEnded(session, error),
      },
    });
    return session;
  }

  #onOpen(stream: Stream, about: Buffer): void {
    let visitor: VisitorOpen;
    try {
      visitor = parseVisitorOpen(about);
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      stream.refuse('CANCELLED');
      return;
    }
    const owner = stream.kind === KIND.visitor ? this.#bindings.ownerOf(visitor.tunnel) : undefined;
    if (owner === undefined) stream.refuse(stream.kind === KIND.visitor ? 'TUNNEL_UNKNOWN' : 'KIND_UNKNOWN');
    else owner.onVisitor(stream, visitor);
  }

  /** The relay goes away on purpose: its streams finish where they are, a new session begins where it says. */
  #onGoaway(session: Session, afterMs: number): void {
    if (session !== this.#session || this.#ended) return;
    this.#options.log.info('the relay goes away', {afterMs});
    this.#retired.add(session);
    this.#session = undefined;
    this.#ticket = undefined;
    this.#link = undefined;
    this.#away = {since: this.#clock.now(), streams: 0};
    this.#quietUntil = this.#clock.now() + afterMs + GOAWAY_QUIET_MS;
    this.#giveUpLater(() => this.#gaveUp());
    this.#retry = this.#clock.after(afterMs, () => this.#reconnect());
  }

  #onDetached(session: Session, error: Error | undefined): void {
    // Its relay is going: there will be nobody to resume it with.
    if (this.#retired.has(session)) session.destroy(new TunlError('RELAY_LOST'));
    if (session !== this.#session || this.#ended) return;
    this.#lose(toTunlError(error ?? new TunlError('RELAY_LOST'), 'RELAY_LOST'), session.streamCount);
  }

  #onSessionEnded(session: Session, error: TunlError | undefined): void {
    this.#retired.delete(session);
    if (session !== this.#session || this.#ended) return;
    this.#session = undefined;
    this.#ticket = undefined;
    if (this.#away !== undefined) return;
    const why = error ?? new TunlError('RELAY_LOST', {reason: 'the relay ended the session'});
    if (why.retryable || NEEDS_NEW_SESSION.has(why.code)) this.#lose(why, 0);
    else this.#end(why);
  }

  /** There was a link and now there is none. */
  #lose(error: TunlError, streams: number): void {
    this.#link = undefined;
    this.#away = {since: this.#clock.now(), streams};
    this.#options.log.info('link lost', {code: error.code, reason: error.message, streams});
    // Nobody has the tunnel's name yet, and who asked for it waits: not for ever, unless that was the wish.
    const isFirst = !this.#options.wait && this.#bindings.unanswered;
    this.#giveUpLater(() => this.#gaveUp(), isFirst ? UNBOUND_AWAY_MS : Number.POSITIVE_INFINITY);
    this.#later(error);
  }

  #later(error: TunlError): void {
    if (this.#ended) return;
    this.#failure = error;
    const delayMs = this.#waitAfter(error);
    const keptForMs = this.#session === undefined ? 0 : this.#resumeWindowMs;
    if (this.#clock.now() >= this.#quietUntil) {
      this.#quietUntil = 0;
      this.#told = true;
      this.#options.events.onReconnecting(error, this.#backoff.attempt, delayMs, this.streamCount, keptForMs);
    }
    this.#retry = this.#clock.after(delayMs, () => this.#reconnect());
  }

  #reconnect(): void {
    this.#retry = undefined;
    if (this.#ended || this.#attempt !== undefined) return;
    const attempt = new AbortController();
    this.#attempt = attempt;
    this.#connect(attempt.signal).then(
      () => {
        if (this.#attempt !== attempt) return;
        this.#attempt = undefined;
        // The link may have broken again before this turn.
        if (this.#link?.closed && this.#retry === undefined) this.#later(new TunlError('RELAY_LOST'));
      },
      (thrown: unknown) => {
        // Another attempt stands for this one by now.
        if (this.#attempt !== attempt) return;
        this.#attempt = undefined;
        this.#onAttemptFailed(toTunlError(thrown, 'RELAY_LOST'));
      },
    );
  }

  #onAttemptFailed(error: TunlError): void {
    if (this.#ended) return;
    // A second link that was tried beside the first: as long as that one lives nothing is lost.
    if (this.#link !== undefined && !this.#link.closed) return;
    if (NEEDS_NEW_SESSION.has(error.code)) {
      // The relay has no such session any more: its streams are lost, its names are not.
      const session = this.#session;
      this.#session = undefined;
      this.#ticket = undefined;
      session?.destroy(error);
      // Without one it was a new session that was refused: asking at once would go on without end.
      if (session === undefined) this.#later(error);
      else this.#reconnect();
      return;
    }
    if (!error.retryable) {
      this.destroy(error);
      return;
    }
    this.#later(error);
  }

  #waitAfter(error: TunlError): number {
    return error.code === 'RELAY_TIMEOUT'
      ? this.#backoff.nextUnanswered()
      : this.#backoff.next(error.retryAfterMs);
  }

  /** From now on the link may be away for `maxRetryTimeMs`, or less, whatever an attempt or a wait takes. */
  #giveUpLater(why: () => TunlError, atMostMs = Number.POSITIVE_INFINITY): void {
    const limitMs = Math.min(atMostMs, this.#options.maxRetryTimeMs ?? Number.POSITIVE_INFINITY);
    this.#giveUp?.cancel();
    if (limitMs === Number.POSITIVE_INFINITY) return;
    this.#giveUp = this.#clock.after(limitMs, () => this.destroy(why()));
  }

  #gaveUp(): TunlError {
    const cause = this.#failure;
    return new TunlError('RELAY_LOST', {reason: `gave up: ${cause?.message ?? 'no answer'}`, cause});
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        timer.cancel();
        this.#aborter.signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = this.#clock.after(ms, done);
      this.#aborter.signal.addEventListener('abort', done, {once: true});
    });
  }
}

/** How long a link may be away that was lost before the relay had answered to the first wishes, ms. */
const UNBOUND_AWAY_MS = 10_000;

/** A relay that says goodbye is back within seconds, or another has its name: no reason to alarm anybody yet. */
const GOAWAY_QUIET_MS = 10_000;

/** Refusals of a resume after which the agent starts afresh. */
const NEEDS_NEW_SESSION: ReadonlySet<string> = new Set([
  'SESSION_UNKNOWN',
  'SESSION_PROOF',
  'SESSION_STALE',
  'SESSION_RANGE',
]);

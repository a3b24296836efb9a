// The sessions of one agent: the current one, which the next link resumes, and those of relays that are shutting down.

import type {Clock} from '../core/clock.js';
import type {BlockPool} from '../mux/blocks.js';
import {AgentTicket} from '../mux/resume-ticket.js';
import {Session, type SessionSink} from '../mux/session.js';
import type {Welcome} from '../protocol/link-messages.js';

import type {SessionPlace} from './agent-options.js';

/** A session, and the data to resume it over another link. */
export interface Resumable {
  readonly session: Session;
  readonly ticket: AgentTicket;
  /** How long the relay keeps it without a link, ms. */
  resumeWindowMs: number;
  /** The process of the relay that has the session, if the relay has several. */
  worker: number | undefined;
  /** The relay resumes it without a token. */
  takesTicket: boolean;
}

/** Interval of the check whether a retired session is idle, ms. */
const IDLE_CHECK_MS = 1_000;

/** The most retired sessions whose streams may finish at the same time. */
const MOST_RETIRED = 8;

/** The sink of a session, which also gets the session. */
export type SessionsSink = {
  [K in keyof SessionSink]-?: (session: Session, ...about: Parameters<Required<SessionSink>[K]>) => void;
};

export interface AgentSessionsOptions {
  pool: BlockPool;
  clock: Clock;
  keepForReplay: boolean;
  /** The streams that the agent opens count as those of visitors do. */
  ownStreams: boolean;
  sink: SessionsSink;
}

export class AgentSessions {
  readonly #options: AgentSessionsOptions;
  /** Undefined: the next link begins a session. */
  current: Resumable | undefined;
  /** Sessions whose streams may finish; they get no new ones. */
  readonly #retired = new Set<Session>();

  constructor(options: AgentSessionsOptions) {
    this.#options = options;
  }

  /** The relay has begun a session: it is the current one. */
  begin({resumeWindowMs, id, secret = '', epoch, worker}: Welcome): Resumable {
    const {pool, clock, keepForReplay, sink} = this.#options;
    const session: Session = new Session({
      role: 'agent',
      pool,
      clock,
      resumeWindowMs,
      keepForReplay,
      sink: {
        onOpen: (stream, about) => sink.onOpen(session, stream, about),
        onControl: (payload) => sink.onControl(session, payload),
        onGoaway: (message) => sink.onGoaway(session, message),
        onDetached: (error) => sink.onDetached(session, error),
        onEnded: (error) => sink.onEnded(session, error),
      },
    });
    this.current = {
      session,
      ticket: new AgentTicket(id, secret, epoch),
      resumeWindowMs,
      worker,
      takesTicket: false,
    };
    return this.current;
  }

  /** Where the current session is; undefined: there is none. */
  get place(): SessionPlace | undefined {
    if (this.current === undefined) return undefined;
    const {worker, takesTicket, ticket} = this.current;
    return {worker, ticket: takesTicket ? ticket.id : undefined};
  }

  get streamCount(): number {
    return this.#all().reduce((sum, session) => sum + session.streamCount, 0);
  }

  /** The number of streams that are interrupted while this session has no link. */
  interrupted(session: Session | undefined): number {
    return (this.#options.ownStreams ? session?.streamCount : session?.visitorCount) ?? 0;
  }

  /** True when a relay has not acknowledged everything. */
  get isBehind(): boolean {
    return this.#all().some((session) => session.queuedBytes > 0);
  }

  isCurrent(session: Session): boolean {
    return session === this.current?.session;
  }

  isRetired(session: Session): boolean {
    return this.#retired.has(session);
  }

  /**
   * The relay is shutting down: there is no current session any more. Returns the oldest retired ones when there are too
   * many.
   */
  retire(): Session[] {
    if (this.current !== undefined) this.#retired.add(this.current.session);
    this.current = undefined;
    return [...this.#retired].slice(0, -MOST_RETIRED);
  }

  /** Closes a retired session when its last streams have finished. */
  closeWhenIdle(session: Session): void {
    if (!this.#retired.has(session)) return;
    if (session.streamCount === 0 || session.link === undefined) session.close();
    else this.#options.clock.after(IDLE_CHECK_MS, () => this.closeWhenIdle(session));
  }

  /** The session has ended. Returns whether it was the current one. */
  forget(session: Session): boolean {
    this.#retired.delete(session);
    const wasCurrent = this.isCurrent(session);
    if (wasCurrent) this.current = undefined;
    return wasCurrent;
  }

  /** Returns all sessions and forgets them, so that their ends have no effect on the agent. */
  takeAll(): Session[] {
    const all = this.#all();
    this.#retired.clear();
    this.current = undefined;
    return all;
  }

  /** Resolves when their relays have acknowledged everything that was sent. */
  async delivered(): Promise<void> {
    await Promise.all(this.#all().map((session) => session.delivered()));
  }

  /** Resolves when their current links are closed. */
  async linksGone(): Promise<void> {
    await Promise.all(this.#all().map(({link}) => link?.gone()));
  }

  #all(): Session[] {
    return [...this.#retired, ...(this.current === undefined ? [] : [this.current.session])];
  }
}

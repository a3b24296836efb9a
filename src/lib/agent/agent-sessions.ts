// The sessions of one agent: the one that the next link goes on with, and those of relays that are on their way out.

import type {Clock} from '../core/clock.js';
import type {AgentTicket} from '../mux/resume-ticket.js';
import type {Session} from '../mux/session.js';

/** A session and what it takes to go on with it over another link. */
export interface Resumable {
  readonly session: Session;
  readonly ticket: AgentTicket;
  /** How long the relay keeps it without a link, ms. */
  resumeWindowMs: number;
}

/** How often a session that is left is looked at, ms. */
const IDLE_CHECK_MS = 1_000;

/** Relays on their way out whose streams may finish at the same time. */
const MOST_RETIRED = 8;

export class AgentSessions {
  /** Without it the next link begins a session. */
  current: Resumable | undefined;
  /** Their streams may finish, nothing new comes. */
  readonly #retired = new Set<Session>();

  get streamCount(): number {
    return this.#all().reduce((sum, session) => sum + session.streamCount, 0);
  }

  /** Whether a relay has yet to acknowledge something. */
  get isBehind(): boolean {
    return this.#all().some((session) => session.queuedBytes > 0);
  }

  isCurrent(session: Session): boolean {
    return session === this.current?.session;
  }

  isRetired(session: Session): boolean {
    return this.#retired.has(session);
  }

  /** Its relay goes away: the current one is so no longer. Returns those that there is no room for any more. */
  retire(): Session[] {
    if (this.current !== undefined) this.#retired.add(this.current.session);
    this.current = undefined;
    return [...this.#retired].slice(0, -MOST_RETIRED);
  }

  /** A retired one is left: its last streams finish where they are. */
  closeWhenIdle(session: Session, clock: Clock): void {
    if (!this.#retired.has(session)) return;
    if (session.streamCount === 0 || session.link === undefined) session.close();
    else clock.after(IDLE_CHECK_MS, () => this.closeWhenIdle(session, clock));
  }

  /** It has ended. Returns whether it was the current one. */
  forget(session: Session): boolean {
    this.#retired.delete(session);
    const wasCurrent = this.isCurrent(session);
    if (wasCurrent) this.current = undefined;
    return wasCurrent;
  }

  /** All of them, which are the agent's no longer: their ends are wanted and mean nothing to it. */
  takeAll(): Session[] {
    const all = this.#all();
    this.#retired.clear();
    this.current = undefined;
    return all;
  }

  /** Resolves when their relays have acknowledged all that was sent. */
  async delivered(): Promise<void> {
    await Promise.all(this.#all().map((session) => session.delivered()));
  }

  /** Resolves when the links that they have now are gone. */
  async linksGone(): Promise<void> {
    await Promise.all(this.#all().map(({link}) => link?.gone()));
  }

  #all(): Session[] {
    return [...this.#retired, ...(this.current === undefined ? [] : [this.current.session])];
  }
}

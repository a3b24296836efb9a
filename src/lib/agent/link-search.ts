// The search for a link: the times of the attempts, the limit of the search, and its reports.

import type {Backoff} from '../core/backoff.js';
import type {Clock, Timer} from '../core/clock.js';
import {type TunlError, toTunlError} from '../core/errors.js';
import type {Verdict} from './verdict.js';

export interface LinkSearchOptions {
  clock: Clock;
  backoff: Backoff;
  /** One attempt: calls `found` as soon as it has a link in use, or rejects. */
  connect: (signal: AbortSignal) => Promise<void>;
  /** Called only while there is no link. Must not change anything. */
  judge: (error: TunlError) => Verdict;
  /** The session is lost; another attempt follows at once. */
  onNewSession: (error: TunlError) => void;
  /** No attempt follows. The owner ends the search. */
  onFinal: (error: TunlError) => void;
  /** Time until the open streams that wait for the link are lost, ms. Undefined: no stream waits. */
  keptMs: () => number | undefined;
  /** There is no link because of `error`; the next attempt follows after `delayMs`. */
  onWaiting: (error: TunlError, attempt: number, delayMs: number) => void;
  /** There was no link for the longest allowed time. `cause`: the last known reason. */
  onGaveUp: (cause: TunlError | undefined) => void;
}

/** A time without a link. */
export interface Absence {
  readonly awayMs: number;
  /** True when the absence was reported, so that its end must be reported too. */
  readonly told: boolean;
}

type State =
  /** No attempt is made: there is a link, or the search has not begun. */
  | {readonly is: 'resting'}
  | {readonly is: 'waiting'; readonly timer: Timer}
  /** An attempt is under way: for a link, or for a second one beside a link that may be dead. */
  | {readonly is: 'trying'; readonly aborter: AbortController}
  | {readonly is: 'over'};

interface Away {
  readonly since: number;
  readonly giveUp: Timer | undefined;
  cause: TunlError | undefined;
  told: boolean;
  /** Waits before attempts so far. */
  waits: number;
}

/** Upper bound of a wait while open streams wait, ms. */
const STREAMS_WAIT_MS = 2_500;
/** Upper bound of a wait after an answer of something that is no relay, ms: more attempts do no harm to the relay. */
const STRANGER_WAIT_MS = 5_000;
const STRANGERS: ReadonlySet<string> = new Set(['RELAY_CERTIFICATE', 'RELAY_NOT_TUNL']);
/** The last attempt begins this long before the streams are lost, ms, because it takes several round trips. */
const LAST_ATTEMPT_MS = 1_000;
/** Upper bound of the waits after that one, ms. */
const LAST_WAIT_MS = 500;
/** After goodbyes that are closer together than this, the agent waits longer each time, ms. */
const GOODBYES_APART_MS = 60_000;

export class LinkSearch {
  readonly #options: LinkSearchOptions;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  #state: State = {is: 'resting'};
  /** Undefined: there is a link. */
  #away: Away | undefined;
  #goodbyeAt = Number.NEGATIVE_INFINITY;

  constructor(options: LinkSearchOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#backoff = options.backoff;
  }

  /** Begins the search for the first link: an attempt at once, and none after `limitMs`. */
  begin(limitMs: number): void {
    if (this.#state.is !== 'resting') return;
    this.#miss(limitMs);
    this.#try();
  }

  /** The link is lost. The search ends after `limitMs`, even in the middle of an attempt or a wait. */
  lost(error: TunlError, limitMs: number): void {
    if (this.#state.is === 'over') return;
    this.#later(error, this.#miss(limitMs));
  }

  /** The relay is shutting down: the next attempt, here or elsewhere, follows after `afterMs`. */
  sentAway(error: TunlError, afterMs: number, limitMs: number): void {
    if (this.#state.is === 'over') return;
    const away = this.#miss(limitMs);
    // An attempt beside the link would resume the session that ends there, so it is dropped.
    this.#drop();
    const now = this.#clock.now();
    // A relay that always says goodbye at once must not be tried without a pause.
    const pauseMs = now - this.#goodbyeAt < GOODBYES_APART_MS ? this.#backoff.next() : 0;
    this.#goodbyeAt = now;
    const delayMs = Math.max(afterMs, pauseMs);
    this.#wait(delayMs);
    this.#tell(away, error, delayMs);
  }

  /** The attempt under way has a link in use. Returns the absence that this ends, if there was one. */
  found(): Absence | undefined {
    const away = this.#away;
    this.#away = undefined;
    away?.giveUp?.cancel();
    if (this.#state.is !== 'over') this.#state = {is: 'resting'};
    this.#backoff.succeeded();
    return away === undefined ? undefined : {awayMs: this.#clock.now() - away.since, told: away.told};
  }

  /** Makes an attempt now: beside the link, instead of a wait, or in place of the attempt under way. */
  hurry(): void {
    if (this.#state.is === 'over') return;
    this.#drop();
    this.#try();
  }

  /** Ends the search. Idempotent. */
  end(): void {
    this.#drop();
    this.#state = {is: 'over'};
    this.#away?.giveUp?.cancel();
    this.#away = undefined;
  }

  #miss(limitMs: number): Away {
    this.#away?.giveUp?.cancel();
    const away: Away = {
      since: this.#clock.now(),
      giveUp:
        limitMs === Number.POSITIVE_INFINITY ? undefined : this.#clock.after(limitMs, () => this.#giveUp()),
      cause: undefined,
      told: false,
      waits: 0,
    };
    this.#away = away;
    return away;
  }

  #giveUp(): void {
    const cause = this.#away?.cause;
    this.end();
    this.#options.onGaveUp(cause);
  }

  #try(): void {
    const attempt: State = {is: 'trying', aborter: new AbortController()};
    this.#state = attempt;
    this.#options.connect(attempt.aborter.signal).catch((thrown: unknown) => {
      // Otherwise another attempt has replaced this one, or the search is over.
      if (this.#state === attempt) this.#onFailed(toTunlError(thrown, 'RELAY_LOST'));
    });
  }

  #onFailed(error: TunlError): void {
    this.#state = {is: 'resting'};
    const away = this.#away;
    // The attempt was for a second link; nothing is lost while the first one works.
    if (away === undefined) return;
    switch (this.#options.judge(error)) {
      case 'new-session':
        this.#options.onNewSession(error);
        this.hurry();
        return;
      case 'later':
        this.#later(error, away);
        return;
      case 'final':
        this.#options.onFinal(error);
        return;
    }
  }

  #later(error: TunlError, away: Away): void {
    if (this.#state.is === 'over') return;
    const delayMs = this.#delay(error);
    // An attempt that began beside the lost link is the next attempt.
    if (this.#state.is !== 'trying') this.#wait(delayMs);
    this.#tell(away, error, delayMs);
  }

  #delay(error: TunlError): number {
    const keptMs = this.#options.keptMs();
    const lastMs = keptMs === undefined ? Number.POSITIVE_INFINITY : keptMs - LAST_ATTEMPT_MS;
    // The streams are nearly lost: retry quickly.
    if (lastMs < LAST_WAIT_MS) return this.#backoff.next({capMs: LAST_WAIT_MS});
    // An attempt without an answer took as long as a wait.
    const delayMs =
      error.code === 'RELAY_TIMEOUT'
        ? this.#backoff.nextUnanswered()
        : this.#backoff.next({
            atLeastMs: error.retryAfterMs,
            capMs:
              keptMs !== undefined
                ? STREAMS_WAIT_MS
                : STRANGERS.has(error.code)
                  ? STRANGER_WAIT_MS
                  : undefined,
          });
    return delayMs > lastMs ? this.#backoff.nextWithin(lastMs) : delayMs;
  }

  #tell(away: Away, error: TunlError, delayMs: number): void {
    away.cause = error;
    away.told = true;
    away.waits += 1;
    this.#options.onWaiting(error, away.waits, delayMs);
  }

  #wait(delayMs: number): void {
    this.#state = {is: 'waiting', timer: this.#clock.after(delayMs, () => this.#try())};
  }

  /** Cancels the wait or the attempt. */
  #drop(): void {
    const state = this.#state;
    switch (state.is) {
      case 'waiting':
        this.#state = {is: 'resting'};
        state.timer.cancel();
        return;
      case 'trying':
        // Set first, because the abort may be reported at once.
        this.#state = {is: 'resting'};
        state.aborter.abort();
        return;
      case 'resting':
      case 'over':
        return;
    }
  }
}

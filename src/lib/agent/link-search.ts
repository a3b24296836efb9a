// The search for a link: when the next attempt is made, how long they may take together, and whether anybody hears of it.

import type {Backoff} from '../core/backoff.js';
import type {Clock, Timer} from '../core/clock.js';
import {type TunlError, toTunlError} from '../core/errors.js';

/** The step after a failed attempt: another one now, another one after a wait, or none. */
export type Verdict = 'at-once' | 'later' | 'never';

export interface LinkSearchOptions {
  clock: Clock;
  backoff: Backoff;
  /** One attempt: calls `found` as soon as it has a link in use, or rejects. */
  connect: (signal: AbortSignal) => Promise<void>;
  /** Asked only while the link is away. With `never` the owner has ended the search. */
  judge: (error: TunlError) => Verdict;
  /** Open streams wait for the link, and are lost in so many ms. Undefined: none waits. */
  keptMs: () => number | undefined;
  /** There is no link because of `error`; the next attempt follows after `delayMs`. */
  onWaiting: (error: TunlError, attempt: number, delayMs: number) => void;
  /** The link was away for as long as it may. `cause`: why, as far as is known. */
  onGaveUp: (cause: TunlError | undefined) => void;
}

/** A time without a link. */
export interface Absence {
  readonly awayMs: number;
  /** Whether anybody heard of it, and so has to hear that it is over. */
  readonly told: boolean;
}

type State =
  /** Nothing is tried: there is a link, or there was no beginning yet. */
  | {readonly is: 'resting'}
  | {readonly is: 'waiting'; readonly timer: Timer}
  /** An attempt is under way: for a link, or for a second one beside a link whose life is in doubt. */
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

/** Upper bound of a wait while open streams stand still, ms. */
const STREAMS_WAIT_MS = 2_500;
/** Upper bound of a wait after something else than a relay has answered, ms: no relay has to be spared. */
const STRANGER_WAIT_MS = 5_000;
const STRANGERS: ReadonlySet<string> = new Set(['RELAY_CERTIFICATE', 'RELAY_NOT_TUNL']);
/** An attempt is due so long before the streams are lost, ms: it takes several round trips. */
const LAST_ATTEMPT_MS = 1_000;
/** Upper bound of the waits after that one, ms. */
const LAST_WAIT_MS = 500;
/** Goodbyes that are closer together than this are answered more slowly each time, ms. */
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

  /** There was no link yet: one is tried at once, and looked for no longer than `limitMs`. */
  begin(limitMs: number): void {
    if (this.#state.is !== 'resting') return;
    this.#miss(limitMs);
    this.#try();
  }

  /** The link is gone. From now on it may be away for `limitMs`, whatever an attempt or a wait takes. */
  lost(error: TunlError, limitMs: number): void {
    if (this.#state.is === 'over') return;
    this.#later(error, this.#miss(limitMs));
  }

  /** The relay goes away on purpose: in `afterMs` it, or another, is to be tried. */
  sentAway(error: TunlError, afterMs: number, limitMs: number): void {
    if (this.#state.is === 'over') return;
    const away = this.#miss(limitMs);
    // An attempt beside the link would continue the session that ends there, so it is dropped.
    this.#drop();
    const now = this.#clock.now();
    // A relay that says nothing but goodbye is not asked without a pause.
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

  /** An attempt is made now: beside the link, instead of waiting, or anew in place of the one under way. */
  hurry(): void {
    if (this.#state.is === 'over') return;
    this.#drop();
    this.#try();
  }

  /** Nothing is tried any more. Idempotent. */
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
      // Otherwise another attempt stands for this one by now, or nothing is wanted any more.
      if (this.#state === attempt) this.#onFailed(toTunlError(thrown, 'RELAY_LOST'));
    });
  }

  #onFailed(error: TunlError): void {
    this.#state = {is: 'resting'};
    const away = this.#away;
    // A second link that was tried beside the first: as long as that one lives nothing is lost.
    if (away === undefined) return;
    switch (this.#options.judge(error)) {
      case 'at-once':
        this.hurry();
        return;
      case 'later':
        this.#later(error, away);
        return;
      case 'never':
        return;
    }
  }

  #later(error: TunlError, away: Away): void {
    if (this.#state.is === 'over') return;
    const delayMs = this.#delay(error);
    // An attempt beside the lost link is the next attempt already.
    if (this.#state.is !== 'trying') this.#wait(delayMs);
    this.#tell(away, error, delayMs);
  }

  #delay(error: TunlError): number {
    const keptMs = this.#options.keptMs();
    const lastMs = keptMs === undefined ? Number.POSITIVE_INFINITY : keptMs - LAST_ATTEMPT_MS;
    // Nothing to lose by haste any more.
    if (lastMs < LAST_WAIT_MS) return this.#backoff.next({capMs: LAST_WAIT_MS});
    // An attempt that nobody answered was a wait by itself.
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

  /** Whatever is waited for or tried is no longer. */
  #drop(): void {
    const state = this.#state;
    switch (state.is) {
      case 'waiting':
        this.#state = {is: 'resting'};
        state.timer.cancel();
        return;
      case 'trying':
        // Before the abort, which may be told of at once.
        this.#state = {is: 'resting'};
        state.aborter.abort();
        return;
      case 'resting':
      case 'over':
        return;
    }
  }
}

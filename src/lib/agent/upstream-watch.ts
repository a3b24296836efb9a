// Knows whether the upstream accepts connections: from visitors, and without them from rare checks. Services on this
// machine's loopback are looked up in the kernel's tables: a service that accepts only one connection keeps it for a visitor.

import {type Clock, systemClock, type Timer} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import type {TunnelEvent, UpstreamEvent} from './events.js';
import type {WatchUpstream} from './options.js';
import type {UpstreamJoin} from './upstream-join.js';
import type {UpstreamTarget} from './upstreams/target.js';
import {TcpUpstream} from './upstreams/tcp.js';
import {UnixUpstream} from './upstreams/unix.js';
import type {ListenState} from './upstreams/upstream.js';

/** Delay before the first re-check, ms. It doubles each time, up to the longest wait. */
const FIRST_WAIT_MS = 1_000;
/** Without an observer: only the end of a reported failure matters. */
const LONGEST_WAIT_MS = 60_000;
const LONGEST_WAIT_WATCHED_MS = 5_000;
/** An upstream that has served a visitor within this time, ms, is not probed. */
const SERVED_MS = 2_500;

export interface UpstreamWatchOptions {
  label: () => string;
  /** Checks at the beginning, without waiting for a visitor. */
  looksFirst: boolean;
  /** True: checks all the time. False: only after the upstream was found silent, until it answers. */
  watching: boolean;
  listenState: () => Promise<ListenState>;
  /** Undefined: it answers; else the reason why it does not. */
  dial: () => Promise<Error | undefined>;
  onEvent: (event: UpstreamEvent) => void;
  /** A check found it silent, before any visitor has seen it. `again`: it answered before. */
  onSilent: (again: boolean, why: Error | undefined) => void;
  clock: Clock;
}

export class UpstreamWatch {
  readonly #options: UpstreamWatchOptions;
  #state: 'unknown' | 'answers' | 'silent' = 'unknown';
  #silentSince = 0;
  #answeredAt = Number.NEGATIVE_INFINITY;
  /** The kernel's tables have shown a listener: when it is no longer in them, it is gone. */
  #listed = false;
  #waitMs = FIRST_WAIT_MS;
  #timer: Timer | undefined;
  #over = false;

  constructor(options: UpstreamWatchOptions) {
    this.#options = options;
  }

  /** From now on the upstream is known. `answers`: it has just answered. */
  begin(answers: boolean): void {
    if (answers) this.visited(true);
    else if (this.#options.looksFirst) void this.#look();
  }

  /** A visitor's dial is as good as a check. */
  visited(answered: boolean, why?: Error): void {
    if (answered) this.#answeredAt = this.#options.clock.now();
    this.#learn(answered, why);
  }

  [Symbol.dispose](): void {
    this.#over = true;
    this.#timer?.cancel();
  }

  async #look(): Promise<void> {
    const {onSilent, clock} = this.#options;
    const startedAt = clock.now();
    if (startedAt - this.#answeredAt < SERVED_MS) return this.#lookLater();
    const before = this.#state;
    const found = await this.#ask();
    if (this.#over) return;
    if (found === undefined || this.#answeredAt >= startedAt) return this.#lookLater();
    const {answers, why} = found;
    if (!answers && before === this.#state && before !== 'silent') onSilent(before === 'answers', why);
    this.#learn(answers, why);
  }

  /** Makes a connection only if the state is not known to be good. Undefined: no news. */
  async #ask(): Promise<{answers: boolean; why?: Error} | undefined> {
    const seen = await this.#options.listenState();
    if (seen === 'listening') {
      this.#listed = true;
      return {answers: true};
    }
    const mayBeGone = this.#state !== 'answers' || (seen === 'nobody' && this.#listed);
    if (!mayBeGone) return undefined;
    const why = await this.#options.dial();
    return why === undefined ? {answers: true} : {answers: false, why};
  }

  #learn(answers: boolean, why?: Error): void {
    if (this.#over) return;
    const {onEvent, label, watching, clock} = this.#options;
    const before = this.#state;
    this.#state = answers ? 'answers' : 'silent';
    if (before !== this.#state) {
      this.#waitMs = FIRST_WAIT_MS;
      const silentMs = before === 'silent' ? {silentMs: Math.round(clock.now() - this.#silentSince)} : {};
      this.#silentSince = clock.now();
      this.#timer?.cancel();
      this.#timer = undefined;
      // Without an observer a good state is no news.
      if (watching || before !== 'unknown' || !answers)
        onEvent({type: 'upstream', upstream: label(), answers, ...silentMs, ...reasonOf(why)});
    }
    this.#lookLater();
  }

  /** At most one check is scheduled. */
  #lookLater(): void {
    const {watching, clock} = this.#options;
    if (this.#over || this.#timer !== undefined) return;
    if (this.#state !== 'silent' && !watching) return;
    const longest = watching ? LONGEST_WAIT_WATCHED_MS : LONGEST_WAIT_MS;
    this.#timer = clock.after(this.#waitMs, () => {
      this.#timer = undefined;
      void this.#look();
    });
    this.#waitMs = Math.min(longest, this.#waitMs * 2);
  }
}

/** Watches the upstream of a tunnel. */
export function watchUpstream(
  join: UpstreamJoin,
  {
    watchUpstream: when,
    waitUpstreamMs,
    offlinePage,
    onEvent,
  }: {
    watchUpstream: WatchUpstream;
    waitUpstreamMs: number;
    offlinePage: boolean;
    onEvent: (event: TunnelEvent) => void;
  },
): UpstreamWatch | undefined {
  if (when === 'never') return undefined;
  return new UpstreamWatch({
    label: () => join.label,
    looksFirst: when === 'always' || when === 'at first',
    watching: when === 'always',
    listenState: async () => (await join.upstream?.listenState()) ?? 'unknown',
    dial: () => join.probe(),
    onEvent,
    onSilent: (again, why) => {
      if (why instanceof TunlError)
        return onEvent({type: 'notice', code: why.code, message: withNextStep(why)});
      const message = again
        ? `${join.label} does not accept connections any more`
        : nothingYet(join.label, {wait: waitUpstreamMs > 0, getPage: offlinePage});
      onEvent({type: 'notice', code: 'UPSTREAM_REFUSED', message});
    },
    clock: systemClock,
  });
}

/** The treatment of visitors while the upstream does not answer. */
export interface SilenceSettings {
  wait: boolean;
  getPage: boolean;
}

export function nothingYet(label: string, {wait, getPage}: SilenceSettings): string {
  const visitors = wait
    ? 'visitors wait'
    : getPage
      ? 'browsers get the offline page, others are reset'
      : 'visitors are reset';
  return `nothing answers on ${label} yet: ${visitors}`;
}

/** Reason and next step as one line. */
export function withNextStep({message, next}: TunlError): string {
  return `${message} ${next}`;
}

/** Only reasons beyond a refused connection. */
function reasonOf(why: Error | undefined): Pick<UpstreamEvent, 'code' | 'reason'> {
  return why instanceof TunlError ? {code: why.code, reason: why.message} : {};
}

/** Whether nothing listens there, according to the kernel. An upstream without a socket here is dialled. */
export async function isSilentHere(target: UpstreamTarget): Promise<boolean> {
  // The agent itself serves a folder.
  if (target.kind === 'folder') return false;
  const upstream = target.kind === 'unix' ? new UnixUpstream(target.path) : new TcpUpstream(target);
  return (await upstream.listenState()) === 'nobody' && (await upstream.probe()) !== undefined;
}

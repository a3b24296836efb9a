// Knows whether the upstream accepts connections: from the visitors, and where there are none by looking, rarely. What
// listens on this machine's loopback is looked up, not dialled: a service with one connection to give keeps it.

import {type Clock, systemClock, type Timer} from '../core/clock.js';
import {isListening, isLoopbackAddress} from '../core/listening.js';
import {dial, openSocket} from '../net/dial.js';
import {knownAddresses} from '../net/localhost.js';
import type {HostPort} from '../protocol/targets.js';
import type {TunnelEvent, UpstreamEvent} from './events.js';
import type {Upstream} from './upstream.js';

/** Looked at again so much later, ms: doubled each time up to the longest wait. */
const FIRST_WAIT_MS = 1_000;
/** Where nobody watches: only the end of a failure that was told is of interest. */
const LONGEST_WAIT_MS = 60_000;
const LONGEST_WAIT_WATCHED_MS = 5_000;
/** Who was served a moment ago need not be asked, ms. */
const SERVED_MS = 2_500;
const DIAL_TIMEOUT_MS = 5_000;

/** `when refused`: until the upstream answers again; `at first`: the same, and one look at the beginning. */
export type WatchWish = 'always' | 'at first' | 'when refused' | 'never';

/** What the kernel's tables say. `unknown`: they cannot know. */
export type Glance = 'listening' | 'nobody' | 'unknown';

export interface UpstreamWatchOptions {
  label: () => string;
  /** Looks at the beginning, without waiting for a visitor. */
  looksFirst: boolean;
  /** True: goes on looking. False: only where the upstream was found silent, until that is over. */
  watching: boolean;
  glance: () => Promise<Glance>;
  dial: () => Promise<boolean>;
  onEvent: (event: UpstreamEvent) => void;
  /** Found by looking, before any visitor has seen it. `again`: it answered before. */
  onSilent: (again: boolean) => void;
  clock: Clock;
}

export class UpstreamWatch {
  readonly #options: UpstreamWatchOptions;
  #state: 'unknown' | 'answers' | 'silent' = 'unknown';
  #silentSince = 0;
  #answeredAt = Number.NEGATIVE_INFINITY;
  /** It stood in the tables once: when it stands there no more, it is gone. */
  #listed = false;
  #waitMs = FIRST_WAIT_MS;
  #timer: Timer | undefined;
  #over = false;

  constructor(options: UpstreamWatchOptions) {
    this.#options = options;
  }

  /** The upstream is known from now on; `answers`: somebody has just asked it. */
  begin(answers: boolean): void {
    if (answers) this.visited(true);
    else if (this.#options.looksFirst) void this.#look();
  }

  /** A visitor's dial tells as much as a look. */
  visited(answered: boolean): void {
    if (answered) this.#answeredAt = this.#options.clock.now();
    this.#learn(answered);
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
    const answers = await this.#ask();
    if (this.#over) return;
    if (answers === undefined || this.#answeredAt >= startedAt) return this.#lookLater();
    if (!answers && before === this.#state && before !== 'silent') onSilent(before === 'answers');
    this.#learn(answers);
  }

  /** Dials only who is not known to be well. Undefined: nothing new. */
  async #ask(): Promise<boolean | undefined> {
    const seen = await this.#options.glance();
    if (seen === 'listening') {
      this.#listed = true;
      return true;
    }
    const mayBeGone = this.#state !== 'answers' || (seen === 'nobody' && this.#listed);
    return mayBeGone ? await this.#options.dial() : undefined;
  }

  #learn(answers: boolean): void {
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
      // Where nobody watches, that all is well is no news.
      if (watching || before !== 'unknown' || !answers)
        onEvent({type: 'upstream', upstream: label(), answers, ...silentMs});
    }
    this.#lookLater();
  }

  /** At most one look is ahead. */
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

/** A tunnel's watch over its upstream. */
export function watchUpstream(
  upstream: Upstream,
  {
    watchUpstream: when,
    waitUpstreamMs,
    onEvent,
  }: {watchUpstream: WatchWish; waitUpstreamMs: number; onEvent: (event: TunnelEvent) => void},
): UpstreamWatch | undefined {
  if (when === 'never') return undefined;
  return new UpstreamWatch({
    label: () => upstream.label,
    looksFirst: when === 'always' || when === 'at first',
    watching: when === 'always',
    glance: async () => {
      const {place} = upstream;
      return place ? await glanceAt(place) : 'unknown';
    },
    dial: async () => {
      const {place} = upstream;
      return place !== undefined && (await accepts(place));
    },
    onEvent,
    onSilent: (again) =>
      onEvent({
        type: 'notice',
        code: 'UPSTREAM_REFUSED',
        message: again
          ? `${upstream.label} does not accept connections any more`
          : nothingYet(upstream.label, waitUpstreamMs > 0),
      }),
    clock: systemClock,
  });
}

export function nothingYet(label: string, waits = false): string {
  return `nothing answers on ${label} yet: visitors ${waits ? 'wait' : 'are reset'}`;
}

/** Whether nobody listens there, as far as the kernel knows; dialled is only who has no socket here. */
export async function isSilentHere(place: HostPort): Promise<boolean> {
  return (await glanceAt(place)) === 'nobody' && !(await accepts(place));
}

/** A port that the kernel leads elsewhere (to a container) has no socket here: nobody is not the last word. */
export async function glanceAt({host, port}: HostPort): Promise<Glance> {
  const addresses = knownAddresses(host);
  if (process.platform !== 'linux' || !addresses?.every(isLoopbackAddress)) return 'unknown';
  return (await isListening(addresses, port)) ? 'listening' : 'nobody';
}

/** Whether it accepts a connection, which is closed at once. */
export function accepts({host, port}: HostPort): Promise<boolean> {
  return new Promise((resolve) => {
    dial({
      host,
      port,
      timeoutMs: DIAL_TIMEOUT_MS,
      open: (address, to) => openSocket(address, to).unref(),
      onOpen: (socket) => {
        resolve(true);
        socket.on('error', () => {}).destroy();
      },
      onFailed: () => resolve(false),
    });
  });
}

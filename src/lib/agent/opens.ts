// Streams that this agent opens. Each waits for a link, so long and no longer: without one there may be no session to open it in.

import type {Clock, Timer} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import type {Session} from '../mux/session.js';
import type {Stream} from '../mux/stream.js';
import type {StreamKind} from '../protocol/wire.js';

/** For a link, ms. */
const LINK_TIMEOUT_MS = 10_000;
/** Callers that wait at once: whoever loops over a link that is away must not fill the memory. */
const MOST_WAITING = 1_024;

export interface OpenOptions {
  /**
   * Called in the turn in which the stream is opened: the place to set its sink. A sink that is set later may miss the stream's
   * end.
   */
  onOpen?: (stream: Stream) => void;
  /** How long to wait for a link, ms. Default 10,000. */
  withinMs?: number;
  signal?: AbortSignal;
}

export interface OpensOptions {
  clock: Clock;
  /** The session in which streams are opened now; undefined: there is no link. */
  session: () => Session | undefined;
}

interface Waiting {
  open(session: Session): void;
  fail(error: TunlError): void;
}

export class Opens {
  readonly #options: OpensOptions;
  /** In the order in which they came. */
  readonly #waiting = new Set<Waiting>();

  constructor(options: OpensOptions) {
    this.#options = options;
  }

  /** @throws TunlError RELAY_TIMEOUT, RELAY_BUSY, ABORTED, or why the agent has ended. */
  open(kind: StreamKind, about: object, options: OpenOptions = {}): Promise<Stream> {
    return new Promise((resolve, reject) => {
      const {signal, withinMs = LINK_TIMEOUT_MS, onOpen} = options;
      const open = (session: Session) => {
        const stream = session.open(kind, about);
        if (stream === undefined)
          return reject(new TunlError('RELAY_BUSY', {reason: 'Too many streams are open.'}));
        onOpen?.(stream);
        resolve(stream);
      };
      if (signal?.aborted) return reject(new TunlError('ABORTED'));
      const session = this.#options.session();
      if (session !== undefined) return open(session);
      if (this.#waiting.size >= MOST_WAITING)
        return reject(
          new TunlError('RELAY_BUSY', {reason: 'Too many streams wait for a link to the relay.'}),
        );
      let timer: Timer | undefined;
      const settle = () => {
        this.#waiting.delete(waiting);
        timer?.cancel();
        signal?.removeEventListener('abort', abort);
      };
      const waiting: Waiting = {
        open: (later) => {
          settle();
          try {
            open(later);
          } catch (error) {
            reject(error);
          }
        },
        fail: (error) => {
          settle();
          reject(error);
        },
      };
      const abort = () => waiting.fail(new TunlError('ABORTED'));
      signal?.addEventListener('abort', abort, {once: true});
      this.#waiting.add(waiting);
      timer = this.#options.clock.after(withinMs, () => {
        const reason = `No link to the relay within ${withinMs / 1000} s.`;
        waiting.fail(new TunlError('RELAY_TIMEOUT', {reason}));
      });
    });
  }

  /** There is a link. */
  linked(): void {
    for (const waiting of [...this.#waiting]) {
      const session = this.#options.session();
      // Lost again, or left: the next link is for the others.
      if (session === undefined) return;
      waiting.open(session);
    }
  }

  fail(error: TunlError): void {
    for (const waiting of [...this.#waiting]) waiting.fail(error);
  }
}

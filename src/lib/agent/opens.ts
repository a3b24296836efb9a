// Streams that this agent opens. Each waits for a link for a limited time, because without a link there may be no session for
// it.

import type {Clock, Timer} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import type {Session} from '../mux/session.js';
import type {Stream} from '../mux/stream.js';
import type {StreamKind} from '../protocol/wire.js';

/** The wait for a link, ms. */
const LINK_TIMEOUT_MS = 10_000;
/** Callers that wait at once: a caller that opens streams in a loop without a link must not fill the memory. */
const MOST_WAITING = 1_024;

export interface OpenOptions {
  /**
   * Called in the turn in which the stream is opened, to set its sink. A sink that is set later may miss the stream's end.
   */
  onOpen?: (stream: Stream) => void;
  /** How long to wait for a link, ms. Default 10,000. */
  withinMs?: number;
  signal?: AbortSignal;
}

export interface OpensOptions {
  clock: Clock;
  /** The session for new streams; undefined: there is no link. */
  session: () => Session | undefined;
}

interface Waiting {
  open(session: Session): void;
  fail(error: TunlError): void;
}

export class Opens {
  readonly #options: OpensOptions;
  /** In the order of the calls. */
  readonly #waiting = new Set<Waiting>();

  constructor(options: OpensOptions) {
    this.#options = options;
  }

  /** @throws TunlError RELAY_TIMEOUT, RELAY_BUSY, ABORTED, or the reason why the agent has ended. */
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
      // The link is lost again, or the agent has ended: the others wait for the next link.
      if (session === undefined) return;
      waiting.open(session);
    }
  }

  fail(error: TunlError): void {
    for (const waiting of [...this.#waiting]) waiting.fail(error);
  }
}

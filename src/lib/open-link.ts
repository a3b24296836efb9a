// An agent without tunnels: a link to a relay elsewhere, for streams of its own and for those that the relay opens to it.

import type {Socket} from 'node:net';
import {answerOf} from './agent/ask-relay.js';
import type {LinkEvent} from './agent/events.js';
import {LinkedAgent} from './agent/linked-agent.js';
import type {OpenOptions} from './agent/opens.js';
import type {ForwardOptions} from './agent/options.js';
import {refusedStream, StreamRefusal} from './agent/refused-stream.js';
import {LINK_SETTINGS} from './agent/settings-table.js';
import {StreamDuplex} from './bytes/stream-duplex.js';
import {TunlError} from './core/errors.js';
import type {LogSink} from './core/logger.js';
import {settle} from './core/settings.js';
import {findRelay} from './find-relay.js';
import {linkSettings} from './link-settings.js';
import type {Stream} from './mux/stream.js';
import type {StreamHandler} from './mux/stream-kinds.js';
import {KIND, type StreamKind} from './protocol/wire.js';

/** The relay and the way to it, as for a tunnel. There is no relay inside this process here. */
export type ConnectionOptions = Pick<
  ForwardOptions,
  | 'relay'
  | 'context'
  | 'token'
  | 'tokenFile'
  | 'caFile'
  | 'follow'
  | 'stateDir'
  | 'connectTimeoutMs'
  | 'wait'
  | 'maxRetryTimeMs'
>;

export interface LinkOptions extends ConnectionOptions {
  /** Before there is a link `openLink` rejects with ABORTED, later the link ends like `close()`. */
  signal?: AbortSignal | undefined;
  log?: LogSink | undefined;
  /** Must not throw. */
  onEvent?: ((event: LinkEvent) => void) | undefined;
  /** Additions to the first form of the protocol that this agent supports, for its hello: `member`. */
  features?: readonly string[];
}

export interface RelayLink extends AsyncDisposable {
  readonly relay: {readonly url: string};
  /** Additions to the first form of the protocol that the relay of the last link supports. */
  readonly features: readonly string[];
  /** Whether there is a link now. */
  readonly linked: boolean;
  readonly rttMs: number | undefined;
  /** As `Agent.open`. Streams survive a lost link up to the relay's resume window. */
  open(kind: StreamKind, about: object, options?: OpenOptions): Promise<Stream>;
  /**
   * Resolves when the relay has accepted the stream. @throws TunlError as `open`, or why it was refused: `streamCodeOf` gives
   * the code of the stream.
   */
  connect(kind: StreamKind, about: object, options?: ConnectOptions): Promise<StreamDuplex>;
  /** Asks a service of the relay, which answers with one line of JSON. @throws TunlError as `connect` */
  ask(about: {service: string; [more: string]: unknown}, options?: {signal?: AbortSignal}): Promise<unknown>;
  /**
   * A TCP connection to the relay's TLS port, by the same way as the link: through the proxy, if there is one. Nothing was said in
   * it. @throws TunlError RELAY_*, PROXY_FAILED, ABORTED
   */
  dialPort(options: {signal: AbortSignal; timeoutMs: number}): Promise<Socket>;
  /** Takes the streams of this kind that the relay opens. */
  take(kind: Exclude<StreamKind, typeof KIND.visitor>, handler: StreamHandler): void;
  /** A new session has begun: the streams of the one before are lost, or end soon. Returns a function that ends the calls. */
  onSession(listener: () => void): () => void;
  /** Resolves when the link has ended for good; with the reason, unless it was closed. */
  readonly ended: Promise<TunlError | undefined>;
  /** The last bytes may still arrive, for a limited time; then open streams are reset. Idempotent. */
  close(): Promise<void>;
}

export interface ConnectOptions extends Omit<OpenOptions, 'onOpen'> {
  /** The error of an accepted stream that is reset. Default: a StreamRefusal. */
  toError?: (code: StreamRefusal['streamCode'], message: string | undefined) => Error;
}

/** How long the last bytes of a link that closes may take, ms. */
const LAST_BYTES_MS = 2_000;
/** The limit of a service's answer. */
const MOST_ANSWER_BYTES = 256 * 1024;

/**
 * Resolves with the first link. @throws TunlError RELAY_NEEDED, OPTION_INVALID, ABORTED, or the reason why there is no link
 * (RELAY_*, TOKEN_*, PROXY_FAILED).
 */
export async function openLink(options: LinkOptions = {}): Promise<RelayLink> {
  const {signal, log, onEvent = () => {}, features = []} = options;
  const settings = settle(LINK_SETTINGS, options);
  if (signal?.aborted) throw new TunlError('ABORTED');
  const found = await findRelay(settings, {embedded: undefined, log, what: 'link'});
  const ended = Promise.withResolvers<TunlError | undefined>();
  const listeners = new Set<() => void>();
  const linked: LinkedAgent = new LinkedAgent(linkSettings(found, settings), {
    ownStreams: true,
    features,
    onEvent,
    log: (record) => log?.(record),
    onSession: () => {
      for (const listener of [...listeners]) listener();
    },
    onEnded: (error) => {
      signal?.removeEventListener('abort', abort);
      found.onOver?.();
      ended.resolve(error);
    },
  });
  const link = new OpenLink(linked, {ended: ended.promise, listeners, dialPort: found.dialPort});
  const abort = () => void link.close();
  signal?.addEventListener('abort', abort, {once: true});
  // It may have come while files were read.
  if (signal?.aborted) abort();
  await linked.start();
  return link;
}

class OpenLink implements RelayLink {
  readonly ended: Promise<TunlError | undefined>;
  readonly dialPort: RelayLink['dialPort'];
  readonly #linked: LinkedAgent;
  readonly #listeners: Set<() => void>;
  #closed: Promise<void> | undefined;

  constructor(
    linked: LinkedAgent,
    {ended, dialPort, listeners}: Pick<RelayLink, 'ended' | 'dialPort'> & {listeners: Set<() => void>},
  ) {
    this.#linked = linked;
    this.ended = ended;
    this.dialPort = dialPort;
    this.#listeners = listeners;
  }

  get relay(): {readonly url: string} {
    return this.#linked.relay;
  }

  get features(): readonly string[] {
    return this.#linked.agent.relayFeatures;
  }

  get linked(): boolean {
    return this.#linked.agent.linked;
  }

  get rttMs(): number | undefined {
    return this.#linked.agent.rttMs;
  }

  async open(kind: StreamKind, about: object, options?: OpenOptions): Promise<Stream> {
    return await this.#linked.open(kind, about, options);
  }

  async connect(kind: StreamKind, about: object, options: ConnectOptions = {}): Promise<StreamDuplex> {
    const {toError = later, ...others} = options;
    const {signal} = options;
    const answered = Promise.withResolvers<void>();
    // The wait for the link may end first, with its own error.
    answered.promise.catch(() => {});
    let duplex: StreamDuplex | undefined;
    let accepted = false;
    const abort = () => {
      const error = new TunlError('ABORTED');
      answered.reject(error);
      duplex?.destroy(error);
    };
    const onOpen = (stream: Stream) => {
      duplex = new StreamDuplex(stream, {
        onOpened: () => answered.resolve(),
        toError: (code, message) => {
          if (accepted) return toError(code, message);
          const error = refusedStream(code, message);
          answered.reject(error);
          return error;
        },
      });
    };
    await this.open(kind, about, {...others, onOpen});
    signal?.addEventListener('abort', abort, {once: true});
    try {
      if (signal?.aborted) abort();
      await answered.promise;
      accepted = true;
      return (duplex as unknown as StreamDuplex).stillOpen();
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  async ask(
    about: {service: string; [more: string]: unknown},
    {signal = new AbortController().signal}: {signal?: AbortSignal} = {},
  ): Promise<unknown> {
    let answer: Promise<Buffer> | undefined;
    const onOpen = (stream: Stream) => {
      answer = answerOf(stream, {signal, mostBytes: MOST_ANSWER_BYTES, toError: refusedStream});
      answer.catch(() => {});
    };
    await this.open(KIND.service, about, {signal, onOpen});
    const text = String(await answer);
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new TunlError('RELAY_LOST', {reason: 'The relay’s answer cannot be read.', cause});
    }
  }

  take(kind: Exclude<StreamKind, typeof KIND.visitor>, handler: StreamHandler): void {
    this.#linked.take(kind, handler);
  }

  onSession(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#closed ??= this.#linked.agent.leave(this.#linked.agent.isBehind ? LAST_BYTES_MS : 0);
    await this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function later(code: StreamRefusal['streamCode'], message: string | undefined): Error {
  return new StreamRefusal(code, message);
}

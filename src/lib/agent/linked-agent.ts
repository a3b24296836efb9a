// One agent, the memory bound of its streams, its watch of the network, and its events as users see them: the part that
// tunnels and links without tunnels share.

import {totalmem} from 'node:os';
import {defaultUnreadLimit, UnreadLimit} from '../bytes/unread-limit.js';
import {watchStream} from '../bytes/watch-stream.js';
import {type Clock, systemClock} from '../core/clock.js';
import type {TunlError} from '../core/errors.js';
import {createLogger, type LogSink} from '../core/logger.js';
import {BlockPool} from '../mux/blocks.js';
import type {Carrier} from '../mux/carrier.js';
import type {Identify} from '../mux/handshake.js';
import type {Stream} from '../mux/stream.js';
import type {StreamHandler} from '../mux/stream-kinds.js';
import type {KIND, StreamKind} from '../protocol/wire.js';
import {Agent} from './agent.js';
import type {AgentOptions, SessionPlace, Waiting} from './agent-options.js';
import type {LinkEvent, ReadyEvent, ReconnectingEvent} from './events.js';
import {watchNetwork} from './network-watch.js';
import type {OpenOptions} from './opens.js';
import type {Successors} from './successors.js';

/** All values are settled: no defaults, no environment. */
export interface LinkSettings {
  relay: ReadyEvent['relay'];
  software: string;
  /** One attempt to reach the relay. `url`: the place that another relay has named. */
  dial: (signal: AbortSignal, url: string | undefined, session?: SessionPlace) => Promise<Carrier>;
  successors: Successors;
  identify: Identify | undefined;
  wait: boolean;
  maxRetryTimeMs: number | undefined;
  keepForReplay: boolean;
  /** Called once when the agent ends. */
  onOver?: () => void;
}

/** After a change of this machine's addresses, or a sleep, the link must answer within this time, ms. */
const PROBE_MS = 2_000;

export interface LinkedAgentOwner
  extends Pick<AgentOptions, 'features' | 'onSession' | 'ownStreams' | 'onProbe'> {
  onEvent: (event: LinkEvent) => void;
  log: LogSink;
  /** Called once. Undefined after `close`. */
  onEnded: (error: TunlError | undefined) => void;
}

export class LinkedAgent {
  readonly relay: ReadyEvent['relay'];
  readonly pool = new BlockPool();
  readonly unread: UnreadLimit;
  readonly agent: Agent;
  readonly #clock: Clock = systemClock;
  #started: Promise<void> | undefined;
  #network: Disposable | undefined;
  #over = false;

  constructor(settings: LinkSettings, owner: LinkedAgentOwner) {
    this.relay = settings.relay;
    const log = createLogger('agent', owner.log);
    this.unread = new UnreadLimit({limitBytes: defaultUnreadLimit(totalmem()), clock: this.#clock, log});
    const {features, onSession, ownStreams, onProbe} = owner;
    this.agent = new Agent({
      software: settings.software,
      pool: this.pool,
      log,
      dial: settings.dial,
      successors: settings.successors,
      wait: settings.wait,
      keepForReplay: settings.keepForReplay,
      ...(onProbe === undefined ? {} : {onProbe}),
      ...(features === undefined ? {} : {features}),
      ...(onSession === undefined ? {} : {onSession}),
      ...(ownStreams === undefined ? {} : {ownStreams}),
      ...(settings.identify === undefined ? {} : {identify: settings.identify}),
      ...(settings.maxRetryTimeMs === undefined ? {} : {maxRetryTimeMs: settings.maxRetryTimeMs}),
      events: {
        onReconnecting: (waiting) => owner.onEvent(reconnecting(waiting)),
        onResumed: (awayMs, resumed, lost) =>
          owner.onEvent({type: 'resumed', awayMs: Math.round(awayMs), resumed, lost}),
        onNotice: (code, message) => owner.onEvent({type: 'notice', code, message}),
        onEnded: (error) => {
          this.#over = true;
          this.unread.close();
          this.#network?.[Symbol.dispose]();
          owner.onEnded(error);
        },
      },
    });
  }

  /** Resolves with the first link. @throws TunlError the reason why there is none */
  async start(): Promise<void> {
    this.#started ??= this.#start();
    await this.#started;
  }

  async #start(): Promise<void> {
    await this.agent.start();
    if (this.#over) return;
    this.#network = watchNetwork({
      onChange: () => this.agent.nudge(PROBE_MS),
      onWake: () => this.agent.wake(PROBE_MS),
    });
  }

  /** Like `Agent.open`. Unread bytes of these streams count together with those of the visitors. */
  async open(kind: StreamKind, about: object, options: OpenOptions = {}): Promise<Stream> {
    const onOpen = (stream: Stream) => {
      this.#watch(stream);
      options.onOpen?.(stream);
    };
    return await this.agent.open(kind, about, {...options, onOpen});
  }

  /** Like `Agent.take`. Unread bytes of these streams count, too. */
  take(kind: Exclude<StreamKind, typeof KIND.visitor>, handler: StreamHandler): void {
    this.agent.take(kind, (stream, about) => {
      this.#watch(stream);
      handler(stream, about);
    });
  }

  #watch(stream: Stream): void {
    stream.onGone = watchStream(this.unread, stream);
  }
}

function reconnecting({state, error, attempt, delayMs, streams, keptForMs}: Waiting): ReconnectingEvent {
  return {
    type: 'reconnecting',
    state,
    code: error.code,
    reason: error.message,
    attempt,
    delayMs: Math.round(delayMs),
    connections: streams,
    keptForMs,
  };
}

// The options of an agent, and its events.

import type {Clock} from '../core/clock.js';
import type {ErrorCode, TunlError} from '../core/errors.js';
import type {Logger} from '../core/logger.js';
import type {BlockPool} from '../mux/blocks.js';
import type {Carrier} from '../mux/carrier.js';
import type {Identify} from '../mux/handshake.js';
import type {Session} from '../mux/session.js';
import type {Stream} from '../mux/stream.js';
import type {StreamHandlers} from '../mux/stream-kinds.js';
import type {KIND} from '../protocol/wire.js';
import type {Successors} from './successors.js';

/**
 * `away`: no link. `leaving`: the relay said goodbye. `refused`: there is a link, but the relay does not give a tunnel back
 * yet.
 */
export type AwayState = 'away' | 'leaving' | 'refused';

/** Visitors cannot come; with the time of the next attempt. */
export interface Waiting {
  state: AwayState;
  error: TunlError;
  /** Counts from 1 since visitors could last come. */
  attempt: number;
  delayMs: number;
  /** Streams that wait for a link, and how long they are kept. */
  streams: number;
  keptForMs: number;
}

export interface AgentEvents {
  /** A link was lost, an attempt to get one failed, or the relay refuses a tunnel that this agent had. */
  onReconnecting(waiting: Waiting): void;
  onResumed(awayMs: number, resumed: number, lost: number): void;
  /** A warning for the user. */
  onNotice(code: ErrorCode, message: string): void;
  /** The agent has ended; called exactly once. Undefined after `close`. */
  onEnded(error: TunlError | undefined): void;
}

/** Where the session is that a link will resume. */
export interface SessionPlace {
  /** The process of the relay that has it, if the relay has several. */
  worker: number | undefined;
  /** Its id, when the relay takes it in place of a token. */
  ticket: string | undefined;
}

export interface AgentOptions {
  software: string;
  pool: BlockPool;
  events: AgentEvents;
  log: Logger;
  /** One attempt to reach the relay. `url`: the place that another relay has named. */
  dial: (signal: AbortSignal, url: string | undefined, session?: SessionPlace) => Promise<Carrier>;
  identify?: Identify;
  /** Handlers for streams that the relay opens, by kind, without visitors' streams. Default: none. */
  onStream?: Omit<StreamHandlers<Session>, typeof KIND.visitor>;
  /** Additions to the first form of the protocol that this agent supports besides those of every agent. */
  features?: readonly string[];
  /** A new session has begun after the first one: the streams of the one before are lost, or end at a relay that shuts down. */
  onSession?: () => void;
  /**
   * The streams that this agent opens are its work: they count where those of visitors do, and once there was a link only the
   * relay itself ends the agent. Default false.
   */
  ownStreams?: boolean;
  /** Takes a visitor's stream that speaks the protocol of probes. Default: it is refused. */
  onProbe?: (stream: Stream) => void;
  /** Decides which of the relays that a relay names the agent follows to. Default: none. */
  successors?: Pick<Successors, 'judge'>;
  /** Keep trying when the first link fails. Default false. */
  wait?: boolean;
  /** Give up after this long without a link, ms. Default: never. */
  maxRetryTimeMs?: number;
  /** Without these bytes a lost link ends its streams (to measure the cost of replay). Default true. */
  keepForReplay?: boolean;
  clock?: Clock;
}

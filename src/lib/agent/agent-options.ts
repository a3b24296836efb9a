// The options of an agent, and its events.

import type {Clock} from '../core/clock.js';
import type {ErrorCode, TunlError} from '../core/errors.js';
import type {Logger} from '../core/logger.js';
import type {BlockPool} from '../mux/blocks.js';
import type {Carrier} from '../mux/carrier.js';
import type {Identify} from '../mux/handshake.js';
import type {StreamHandlers} from '../mux/stream-kinds.js';
import type {KIND} from '../protocol/wire.js';
import type {Successors} from './successors.js';

/** `away`: no link. `leaving`: the relay said goodbye. `refused`: a link, and a relay that does not give a tunnel back yet. */
export type AwayState = 'away' | 'leaving' | 'refused';

/** Visitors cannot come, and when the next attempt follows. */
export interface Waiting {
  state: AwayState;
  error: TunlError;
  /** Counts from 1 since visitors could come. */
  attempt: number;
  delayMs: number;
  /** Streams that wait for a link, and for how long they are kept. */
  streams: number;
  keptForMs: number;
}

export interface AgentEvents {
  /** A link was lost, an attempt to get one failed, or the relay refuses a tunnel that this agent had. */
  onReconnecting(waiting: Waiting): void;
  onResumed(awayMs: number, resumed: number, lost: number): void;
  /** Something that its user should know. */
  onNotice(code: ErrorCode, message: string): void;
  /** The agent is over, exactly once. Undefined after `close`. */
  onEnded(error: TunlError | undefined): void;
}

export interface AgentOptions {
  software: string;
  pool: BlockPool;
  events: AgentEvents;
  log: Logger;
  /** One attempt to reach the relay. `url`: where another relay has sent the agent. */
  dial: (signal: AbortSignal, url: string | undefined) => Promise<Carrier>;
  identify?: Identify;
  /** Takes what the relay opens besides visitors' streams, by kind. Default: nothing. */
  onStream?: Omit<StreamHandlers, typeof KIND.visitor>;
  /** Says where the agent goes of what a relay names. Default: nowhere. */
  successors?: Pick<Successors, 'judge'>;
  /** Keep trying when the first link cannot be had. Default false. */
  wait?: boolean;
  /** Give up after the link was away this long, ms. Default: never. */
  maxRetryTimeMs?: number;
  /** Without these bytes kept a lost link is the end of its streams (to measure what keeping costs). Default true. */
  keepForReplay?: boolean;
  clock?: Clock;
}

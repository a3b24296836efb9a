// Sends an agent away: to another relay, or to come back later. Its link and its streams go on for now.

import type {Session} from '../../mux/session.js';

export const LEAVING = 'The relay is shutting down.';
/** When an agent that comes while the relay shuts down may ask again, ms. */
export const COME_BACK_MS = 1_000;

export interface Destination {
  /** When the agent comes back, ms. */
  readonly afterMs: () => number;
  /** The relays that it may go to; none: the same address. */
  readonly relays: readonly string[];
}

export function goodbye({link}: Session, message: string, {afterMs, relays}: Destination): void {
  link?.sendMessage({type: 'goaway', message, afterMs: Math.round(afterMs()), relays});
}

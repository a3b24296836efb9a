// All events of `--json`: those of a tunnel and those of the other commands. docs/json-events.md documents them.

import type {TunnelEvent} from '../agent/events.js';
import type {AccountEvent} from './account-events.js';
import type {RelayAdminEvent} from './relay-events.js';
import type {RelayStartEvent} from './relay-start-events.js';
import type {RoomEvent} from './room-events.js';
import type {RunningEvent} from './running-events.js';
import type {TokenEvent} from './token-event.js';

/** Events of one tunnel, as opposed to events of its link. */
type OwnEvent = Extract<
  TunnelEvent,
  {type: 'ready' | 'probe' | 'connection' | 'upstream' | 'notice' | 'draining' | 'closed' | 'error'}
>;

export type CliEvent =
  /** `tunnel`: the name, in a command with several targets. */
  | (OwnEvent & {tunnel?: string})
  | Exclude<TunnelEvent, OwnEvent>
  | RelayStartEvent
  | RunningEvent
  | AccountEvent
  | RelayAdminEvent
  | TokenEvent
  | RoomEvent;

/** Events that are skipped for a reader that is too slow. All others are few and describe the state. */
export function isExpendable(event: CliEvent): boolean {
  return event.type === 'connection';
}

// The events of the commands for sandboxes, hubs, clusters, egress and private networks.

import type {ClusterEvent} from '../cluster/events.js';
import type {EgressPortsEvent} from './egress/events.js';
import type {HubCliEvent} from './hub/events.js';
import type {NetworkCliEvent} from './network/events.js';
import type {SandboxCliEvent} from './sandbox/events.js';
import type {SealedEvent} from './sealed-event.js';

export type RoomEvent =
  | SandboxCliEvent
  | HubCliEvent
  | ClusterEvent
  | SealedEvent
  | EgressPortsEvent
  | NetworkCliEvent;

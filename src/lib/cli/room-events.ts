// The events of the commands for sandboxes and hubs.

import type {HubCliEvent} from './hub/events.js';
import type {SandboxCliEvent} from './sandbox/events.js';

export type RoomEvent = SandboxCliEvent | HubCliEvent;

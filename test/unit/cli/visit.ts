// One visitor's connection, as an event.

import type {ConnectionEvent} from '../../../src/lib/agent/events.js';

export function visit(state: ConnectionEvent['state']): ConnectionEvent {
  return {
    type: 'connection',
    state,
    id: 1,
    visitor: '203.0.113.7:50123',
    via: 'tls',
    bytesIn: 0,
    bytesOut: 0,
    durationMs: 0,
  };
}

// The lines that begin with the time of day.

import type {CliEvent} from '../events.js';

/** Events whose lines get a time of day. Other lines show a state. */
export const TIMED: ReadonlySet<CliEvent['type']> = new Set([
  'connection',
  'upstream',
  'notice',
  'reconnecting',
  'resumed',
]);

/** `12:00:39` in local time. */
export function timeOfDay(): string {
  return new Date().toTimeString().slice(0, 8);
}

// Diagnostics as JSON: one object a line, for programs that collect logs.

import type {LogRecord} from '../core/logger.js';
import {oneLine} from '../core/one-line.js';

/** Fields cannot replace these. */
type Head = Readonly<Record<'time' | 'level' | 'scope' | 'message', string>> & {readonly event?: string};

/** `{"time":"…","level":"info","event":"agent-connected","scope":"relay","message":"agent connected",…}` */
export function jsonLogLine({level, scope, message, event, fields}: LogRecord, now = new Date()): string {
  const head: Head = {
    time: now.toISOString(),
    level,
    ...(event !== undefined && {event}),
    scope,
    message: oneLine(message),
  };
  // Text of a peer can reorder a terminal, in JSON as well.
  return oneLine(JSON.stringify({...head, ...plain(fields), ...head}));
}

/** An Error has no fields of its own in JSON. */
function plain(fields: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? value.message : value]),
  );
}

// An entry of the roster as an event.

import {isErrorCode} from '../core/errors.js';
import type {BackgroundTunnel} from '../launch/journal.js';
import type {Listed} from '../launch/roster.js';
import type {BackgroundEnd, BackgroundStatus, BackgroundTunnelEvent} from './running-events.js';

/** @param status the status that the process reports */
export function listedEvent({entry, life}: Listed, status?: BackgroundStatus): BackgroundTunnelEvent {
  const {id, address, command, pid, startedAt, expiresAt, tunnels, foreground} = entry;
  return {
    type: 'tunnel',
    state: life === 'running' ? 'running' : 'ended',
    id,
    address,
    command: command.join(' '),
    pid,
    startedAt,
    ...(tunnels !== undefined && {tunnels}),
    ...(foreground && {foreground}),
    ...(expiresAt !== undefined && {expiresAt}),
    ...(status !== undefined && {status}),
    ...(life === 'ended' && {end: endOf(entry)}),
  };
}

function endOf({startedAt, end}: BackgroundTunnel): BackgroundEnd {
  if (end === undefined) return {why: 'unknown'};
  const {why, at, code, message, exitCode} = end;
  return {
    why,
    ...(at !== undefined && {at, durationMs: Math.max(0, Date.parse(at) - Date.parse(startedAt))}),
    ...(code !== undefined && isErrorCode(code) && {code}),
    ...(message !== undefined && {message}),
    ...(exitCode !== undefined && {exitCode}),
  };
}

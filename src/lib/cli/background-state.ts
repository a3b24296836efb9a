// What runs or ran in the background, in words: its state, how long, and why it ended.

import type {BackgroundEnd, BackgroundTunnelEvent} from './events.js';
import {clockTime, time} from './format.js';

export function backgroundState(event: BackgroundTunnelEvent, now = Date.now()): string {
  const {end, startedAt, expiresAt} = event;
  if (event.state === 'running') {
    const until = expiresAt === undefined ? [] : [`ends at ${clockTime(new Date(expiresAt), new Date(now))}`];
    return [`running for ${time(now - Date.parse(startedAt))}`, ...until].join(', ');
  }
  if (end === undefined || end.why === 'unknown') return 'ended without a word: killed, or its machine was';
  const when = end.at === undefined ? '' : ` at ${clockTime(new Date(end.at), new Date(now))}`;
  const after = end.durationMs === undefined ? '' : ` after ${time(end.durationMs)}`;
  const exit = end.exitCode === undefined ? '' : ` (exit code ${end.exitCode})`;
  return `ended${when}${after}: ${reason(end)}${exit}`;
}

function reason({why, code, message}: BackgroundEnd): string {
  switch (why) {
    case 'stopped':
      return message === undefined ? 'it was stopped' : `it was stopped: ${message}`;
    case 'expired':
      return 'its time was over';
    case 'idle':
      return 'no visitor came any more';
    case 'exited':
      return 'its program ended';
    case 'left':
      return 'by a second signal, at once';
    case 'failed':
      return message === undefined ? 'it failed' : `${message}${code === undefined ? '' : ` ${code}`}`;
    case 'unknown':
      return 'without a word';
  }
}

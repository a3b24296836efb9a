// Describes a process in the background in words: its state, for how long, and why it ended.

import {clockTime, time} from './format.js';
import type {BackgroundEnd, BackgroundStatus, BackgroundTunnelEvent} from './running-events.js';

export function backgroundState(event: BackgroundTunnelEvent, now = Date.now()): string {
  const {end, startedAt, expiresAt, status} = event;
  if (event.state === 'running') {
    const until = expiresAt === undefined ? [] : [`ends at ${clockTime(new Date(expiresAt), new Date(now))}`];
    const state = status === undefined ? 'running, does not answer,' : stateOf(status);
    const place = event.foreground ? ' in a terminal' : '';
    const visitors = status === undefined ? [] : [visitorsOf(status)];
    return [`${state}${place} for ${time(now - Date.parse(startedAt))}`, ...visitors, ...until].join(', ');
  }
  if (end === undefined || end.why === 'unknown')
    return 'ended unexpectedly: killed, or its machine was restarted';
  const when = end.at === undefined ? '' : ` at ${clockTime(new Date(end.at), new Date(now))}`;
  const after = end.durationMs === undefined ? '' : ` after ${time(end.durationMs)}`;
  const exit = end.exitCode === undefined ? '' : ` (exit code ${end.exitCode})`;
  return `ended${when}${after}: ${reason(end)}${exit}`;
}

function stateOf({link, reach}: BackgroundStatus): string {
  if (link !== 'up' || reach === undefined) return LINKS[link];
  return REACHES[reach];
}

const REACHES: Readonly<Record<NonNullable<BackgroundStatus['reach']>, string>> = {
  passed: 'live',
  failed: 'running, but not reached through its public name,',
  checking: 'running, its public name is being checked,',
};

const LINKS: Readonly<Record<BackgroundStatus['link'], string>> = {
  up: 'running',
  away: 'without a link, running',
  leaving: 'between two relays, running',
  refused: 'without its address, running',
  closing: 'closing, was running',
};

function visitorsOf({visitors}: BackgroundStatus): string {
  const total = visitors.total === undefined ? '' : ` of ${visitors.total}`;
  return `${visitors.open}${total} visitors open`;
}

function reason({why, code, message}: BackgroundEnd): string {
  switch (why) {
    case 'stopped':
      return message === undefined ? 'it was stopped' : `it was stopped: ${message}`;
    case 'expired':
      return 'its time had passed';
    case 'idle':
      return 'it had no visitors for too long';
    case 'exited':
      return 'its program ended';
    case 'left':
      return 'by a second signal, at once';
    case 'failed':
      return message === undefined ? 'it failed' : `${message}${code === undefined ? '' : ` ${code}`}`;
    case 'unknown':
      return 'unexpectedly';
  }
}

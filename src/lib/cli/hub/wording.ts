// The words of the commands for a hub.

import {clockTime, count, time} from '../format.js';
import type {Line} from '../wording.js';
import type {HubCliEvent, HubSessionEvent, HubUserEvent} from './events.js';

/** The columns of a terminal; `awk` reads them as well. */
const WIDTHS = [10, 10, 12, 8, 10, 8];

function row(cells: readonly string[]): string {
  return cells
    .map((cell, at) => cell.padEnd(WIDTHS[at] ?? 0))
    .join('  ')
    .trimEnd();
}

export const SESSION_HEADING = row(['ID', 'USER', 'TEMPLATE', 'STATE', 'STOPS IN', 'UP', 'KEPT BY', 'URL']);
export const USER_HEADING = row(['NAME', 'QUOTA', 'SINCE', 'ID']);

/** The line of an event on stdout, if any. */
export function hubResult(event: HubCliEvent): string | undefined {
  switch (event.type) {
    case 'hub':
      return event.url;
    case 'hub-session':
      return sessionRow(event);
    case 'hub-output':
      return undefined;
    case 'hub-user':
      return event.token ?? (event.state === 'listed' ? userRow(event) : undefined);
  }
}

export function hubLines(event: HubCliEvent): Line[] {
  switch (event.type) {
    case 'hub': {
      const {templates, sessions} = event;
      const kept = sessions === 0 ? '' : `, ${count(sessions, 'session')} go on`;
      return [
        {tone: 'good', text: `hub: ${count(templates.length, 'template')} (${templates.join(', ')})${kept}`},
        {tone: 'faint', text: 'tunl hub user add NAME makes a user and a token.'},
      ];
    }
    case 'hub-session':
      return event.end === undefined ? [] : [{tone: 'faint', text: `  ${event.end.detail}`}];
    case 'hub-output':
      return [];
    case 'hub-user':
      return userLines(event);
  }
}

function sessionRow(event: HubSessionEvent, now = Date.now()): string {
  const {id, user, template, name, state, readyAt, endedAt, url} = event;
  const up = readyAt === undefined || endedAt !== undefined ? '-' : span(now - Date.parse(readyAt));
  const what = name === undefined ? template : `${template}/${name}`;
  const isQueued = event.queued !== undefined;
  return row([
    id,
    user,
    what,
    isQueued ? `queued ${event.queued}` : state,
    stopsIn(event, now),
    up,
    keptBy(event, now),
    url ?? '-',
  ]);
}

function stopsIn({stopsAt, idleStopsAt, end}: HubSessionEvent, now: number): string {
  if (end !== undefined) return end.reason;
  const ends = [stopsAt, idleStopsAt].flatMap((at) => (at === undefined ? [] : [Date.parse(at)]));
  return ends.length === 0 ? '-' : span(Math.min(...ends) - now);
}

function keptBy({keptBy: kept}: HubSessionEvent, now: number): string {
  if (kept === undefined) return '-';
  const what = (kept.detail ?? kept.source).replaceAll(' ', '-');
  return kept.isNow ? `${what}(now)` : `${what}(${span(now - Date.parse(kept.at))}-ago)`;
}

const span = (ms: number): string => (ms <= 0 ? 'now' : time(ms).replace(' ', ''));

function userRow({name, quota, createdAt, id}: HubUserEvent): string {
  return row([name, String(quota), clockTime(new Date(createdAt)), id]);
}

function userLines({state, name, quota, token}: HubUserEvent): Line[] {
  const shown: Line[] =
    token === undefined
      ? []
      : [
          {
            tone: 'plain',
            text: 'The token is shown only now. It goes into `Authorization: Bearer …`, or into the page.',
          },
        ];
  switch (state) {
    case 'added':
      return [{tone: 'good', text: `${name} may have ${count(quota, 'session')} at once`}, ...shown];
    case 'changed':
      return [{tone: 'good', text: `${name} may have ${count(quota, 'session')} at once`}];
    case 'removed':
      return [
        {tone: 'good', text: `${name} is removed, and the tokens are revoked; sessions end within a minute`},
      ];
    case 'forgotten':
      return [{tone: 'good', text: `the files of ${name} are removed, and the sessions have ended`}];
    case 'token':
      return [{tone: 'good', text: `${name} has a new token`}, ...shown];
    case 'listed':
      return [];
  }
}

// The meaning of a request for a session: a new one, or one that there is already; and whether there is room for a new one.

import {TunlError} from '../core/errors.js';
import {isFinal, type SessionRecord} from './session.js';
import type {SessionTable} from './session-table.js';
import type {Template} from './template.js';
import type {HubUser} from './users.js';

/** How long a repeated request finds its session, ms. */
const REQUEST_KEY_MS = 24 * 3_600_000;

export interface SessionWish {
  readonly template: string;
  readonly name?: string | undefined;
  /** A repeated request with the same key gets the same session. */
  readonly requestKey?: string | undefined;
}

/** `endsFirst`: the session is being stopped, and a new one may follow it. */
export interface SameSession {
  readonly record: SessionRecord;
  readonly endsFirst?: Promise<void>;
}

/** The session that a repeated request or the same name means. @throws TunlError HUB_NAME_USED */
export function findSame(
  {live, records}: Pick<SessionTable, 'live'> & {records: readonly SessionRecord[]},
  {user, template, wish, now}: {user: HubUser; template: Template; wish: SessionWish; now: number},
): SameSession | undefined {
  const {name, requestKey} = wish;
  const repeated = records.find(
    (each) =>
      requestKey !== undefined &&
      each.userId === user.id &&
      each.requestKey === requestKey &&
      each.createdAt >= now - REQUEST_KEY_MS,
  );
  if (repeated !== undefined) {
    if (repeated.template === template.name && repeated.name === name) return {record: repeated};
    throw new TunlError('HUB_NAME_USED', {reason: 'A request with this key asked for something else.'});
  }
  if (name === undefined) return undefined;
  const named = [...live.values()].find(
    ({record}) => record.userId === user.id && record.name === name && !isFinal(record.state),
  );
  if (named === undefined) return undefined;
  const {record, over} = named;
  if (record.state === 'stopping') return {record, endsFirst: over};
  if (record.template === template.name) return {record};
  throw new TunlError('HUB_NAME_USED', {
    reason: `The session ${name} runs another template, ${record.template}.`,
  });
}

export interface Room {
  readonly mostSessions: number;
  readonly mostQueued: number;
  readonly queued: number;
}

/** @throws TunlError HUB_QUOTA, HUB_FULL */
export function checkRoom(
  {live}: Pick<SessionTable, 'live'>,
  user: HubUser,
  {mostSessions, mostQueued, queued}: Room,
): void {
  const running = [...live.values()].filter(({record}) => !isFinal(record.state));
  const own = running.filter(({record}) => record.userId === user.id).length;
  if (own >= user.quota) {
    throw new TunlError('HUB_QUOTA', {
      reason: `${own} sessions of ${user.name} run already, and ${user.quota} are allowed.`,
    });
  }
  if (running.length >= mostSessions)
    throw new TunlError('HUB_FULL', {reason: `${running.length} sessions run already.`});
  if (queued >= mostQueued)
    throw new TunlError('HUB_FULL', {reason: `${queued} sessions wait for their start already.`});
}

/** @throws TunlError OPTION_INVALID */
export function checkSessionName(name: string): string {
  if (/^[a-z0-9][a-z0-9-]{0,39}$/.test(name)) return name;
  throw new TunlError('OPTION_INVALID', {
    reason: `${JSON.stringify(name.slice(0, 80))} cannot be the name of a session.`,
    next: 'Use 1 to 40 small letters, digits and hyphens, such as thesis.',
  });
}

/** @throws TunlError HUB_TEMPLATE_UNKNOWN */
export function templateOf(templates: ReadonlyMap<string, Template>, name: string): Template {
  const template = templates.get(name);
  if (template !== undefined) return template;
  throw new TunlError('HUB_TEMPLATE_UNKNOWN', {next: `Give one of ${[...templates.keys()].join(', ')}.`});
}

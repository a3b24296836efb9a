// Tokens of a relay as events, and their lines.

import type {TokenState} from '../relay/access/token-commands.js';
import type {TokenRecord} from '../relay/access/token-record.js';
import type {TokenEvent} from './events.js';
import {clockTime} from './format.js';
import type {Line} from './wording.js';

interface Known {
  state: TokenEvent['state'];
  usedAt?: Date | undefined;
  /** Only for a token that was just made. */
  token?: string;
}

export function tokenEvent(record: TokenRecord, {state, usedAt, token}: Known): TokenEvent {
  const {id, name, owner, scopes, limits, createdAt, expiresAt, revokedAt} = record;
  return {
    type: 'token',
    ...{state, id, name, owner, scopes, limits, createdAt},
    ...(expiresAt !== undefined && {expiresAt}),
    ...(revokedAt !== undefined && {revokedAt}),
    ...(usedAt !== undefined && {usedAt: usedAt.toISOString()}),
    ...(token !== undefined && {token}),
  };
}

/** The header of the rows. */
export const TOKEN_HEADER = 'ID          NAME  OWNER  STATE  SCOPES  EXPIRES  LAST USED';

const LISTED: ReadonlySet<string> = new Set<TokenState>(['active', 'expired', 'revoked']);

/** The line on stdout: the token alone, for scripts, or a row of the list. */
export function tokenResult(event: TokenEvent): string | undefined {
  if (event.token !== undefined) return event.token;
  if (!LISTED.has(event.state)) return undefined;
  const {id, name, owner, state, scopes, expiresAt, usedAt} = event;
  return [id, name, owner, state, scopes.join(' ') || 'no scopes', when(expiresAt), when(usedAt)].join('  ');
}

export function aboutToken(event: TokenEvent): Line[] {
  const {state, id, name, owner, scopes, expiresAt} = event;
  const which = `token ${id} (${name}) of ${owner}`;
  const facts: Line = {
    tone: 'faint',
    text: `It allows ${scopes.join(', ') || 'nothing'}, and ${expiresAt === undefined ? 'does not expire' : `expires on ${when(expiresAt)}`}.`,
  };
  switch (state) {
    case 'created':
    case 'rotated':
      return [
        {tone: 'good', text: `${which} is ${state === 'created' ? 'made' : 'replaced'}`},
        facts,
        {tone: 'plain', text: 'The token is shown only now. Agents take it from TUNL_TOKEN or --token-file.'},
      ];
    case 'changed':
      return [{tone: 'good', text: `${which} is changed`}, facts];
    case 'ended':
      return [{tone: 'good', text: `${which} is revoked: its agents end within 5 s`}];
    default:
      return [];
  }
}

function when(time: string | undefined): string {
  return time === undefined ? 'never' : clockTime(new Date(time));
}

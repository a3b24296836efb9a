// Tokens of a relay as events, and their lines.

import type {TokenState} from '../relay/access/token-commands.js';
import type {TokenRecord} from '../relay/access/token-record.js';
import {clockTime} from './format.js';
import type {Line} from './wording.js';

/** `tunl relay token`: a token of the relay on this machine. */
export interface TokenEvent {
  type: 'token';
  /** `active`, `expired`, `revoked`: in the list. `ended`: it was revoked just now. */
  state: 'created' | 'rotated' | 'changed' | 'ended' | 'active' | 'expired' | 'revoked';
  /** The argument for `rotate`, `revoke` and `set`. It is no secret. */
  id: string;
  name: string;
  owner: string;
  scopes: readonly string[];
  /** The destinations that its egress may reach; absent: all that the relay allows. */
  allow?: readonly string[];
  /** An absent one is the relay's own limit. */
  limits: {
    maxTunnels?: number;
    maxConnections?: number;
    connectionsPerSecond?: number;
    bytesPerSecond?: number;
    maxStreams?: number;
  };
  /** ISO 8601, like the next three. */
  createdAt: string;
  expiresAt?: string;
  revokedAt?: string;
  /** The last login, exact to a minute; absent when there was none. */
  usedAt?: string;
  /** The token itself, only when it was just made. */
  token?: string;
}

interface Known {
  state: TokenEvent['state'];
  usedAt?: Date | undefined;
  /** Only for a token that was just made. */
  token?: string;
}

export function tokenEvent(record: TokenRecord, {state, usedAt, token}: Known): TokenEvent {
  const {id, name, owner, scopes, allow, limits, createdAt, expiresAt, revokedAt} = record;
  return {
    type: 'token',
    ...{state, id, name, owner, scopes, limits, createdAt},
    ...(allow !== undefined && {allow}),
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
  const {id, name, owner, state, scopes, allow, expiresAt, usedAt} = event;
  const rights = scopes.join(' ') || 'no scopes';
  const allowed = allow === undefined ? rights : `${rights} only ${allow.join(' ') || 'nothing'}`;
  return [id, name, owner, state, allowed, when(expiresAt), when(usedAt)].join('  ');
}

export function aboutToken(event: TokenEvent): Line[] {
  const {state, id, name, owner, scopes, allow, expiresAt} = event;
  const which = `token ${id} (${name}) of ${owner}`;
  const reach = allow === undefined ? '' : `reaches ${allow.join(', ') || 'nothing'} by egress, `;
  const facts: Line = {
    tone: 'faint',
    text: `It allows ${scopes.join(', ') || 'nothing'}, ${reach}and ${expiresAt === undefined ? 'does not expire' : `expires on ${when(expiresAt)}`}.`,
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

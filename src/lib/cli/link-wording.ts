// The sentences about links to private tunnels, and about rules for visitors.

import {shellWord} from '../core/shell-word.js';
import {clockTime} from './format.js';
import type {AccessEvent, LinkEvent, RevokedEvent, SharedEvent} from './running-events.js';
import type {Ready} from './tunnel-state.js';
import type {Line} from './wording.js';

/** The line on stdout. */
export function linkResult(event: SharedEvent | LinkEvent): string {
  return event.type === 'shared' ? event.url : `${event.link}  ${event.visitor}  ${lifeOf(event)}`;
}

export function aboutLink(event: SharedEvent | LinkEvent | RevokedEvent | AccessEvent): Line[] {
  switch (event.type) {
    case 'shared':
      return [
        {tone: 'faint', text: `For ${event.tunnel}: ${lifeOf(event)}.`},
        {tone: 'faint', text: `Withdraw it with: tunl share revoke ${event.link}`},
      ];
    case 'link':
      return [];
    case 'revoked':
      return [{tone: 'plain', text: `${event.link} works no more: its visitors of ${event.tunnel} are out`}];
    case 'access':
      return [
        {tone: 'plain', text: `${event.tunnel} has other rules; open connections against them are reset`},
      ];
  }
}

/** A word that `tunl share` finds the tunnel by. */
export function shareName({id, tunnel, url = '', upstream}: Ready): string {
  if (tunnel !== undefined) return shellWord(tunnel);
  // `localhost`, of a relay inside this process, has no first part of its own.
  return id ?? /^https:\/\/([a-z0-9-]+)\./.exec(url)?.[1] ?? shellWord(upstream);
}

function lifeOf({expiresAt, once}: SharedEvent | LinkEvent): string {
  const until = expiresAt === undefined ? 'as long as the tunnel' : `until ${clockTime(new Date(expiresAt))}`;
  const uses = once === undefined ? '' : once === 'used' ? ', once, used' : ', once';
  return `${until}${uses}`;
}

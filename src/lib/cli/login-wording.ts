// The lines of logins and contexts.

import {EMBEDDED} from '../agent/login/contexts.js';
import type {ContextEvent, DeviceEvent, IdentityEvent, LoginEvent, LogoutEvent} from './account-events.js';
import type {CliEvent} from './events.js';
import {clockTime} from './format.js';
import type {Line} from './wording.js';

type LoginEvents = DeviceEvent | LoginEvent | IdentityEvent | LogoutEvent | ContextEvent;

/** The line on stdout, if any. */
export function loginResult(event: CliEvent): string | undefined {
  switch (event.type) {
    case 'device':
      return event.completeUrl ?? event.url;
    case 'identity':
      return event.owner;
    case 'context':
      if (event.state === 'removed') return undefined;
      return `${event.context}  ${event.relay ?? 'inside each command'}${event.current ? '  current' : ''}`;
    default:
      return undefined;
  }
}

export function aboutLogin(event: LoginEvents): Line[] {
  switch (event.type) {
    case 'device':
      return [
        {tone: 'plain', text: `Open ${event.url} and enter the code ${event.code}`},
        {tone: 'faint', text: `It can be used until ${when(event.expiresAt)}.`},
      ];
    case 'login':
      return [
        {
          tone: 'good',
          text:
            event.owner === undefined
              ? `${event.relay} is stored as the context ${event.context}; it asks for no token`
              : `logged in at ${event.relay} as ${event.owner}`,
        },
        ...facts(event),
        {
          tone: 'faint',
          text: `Commands use it from now on. The relay on this machine: --context ${EMBEDDED}.`,
        },
      ];
    case 'identity':
      return [
        {
          tone: 'faint',
          text: `at ${event.relay}${event.context === undefined ? '' : ` (context ${event.context})`}`,
        },
        ...facts(event),
      ];
    case 'logout':
      return [
        {tone: 'plain', text: `logged out at ${event.relay}`},
        ...(event.told
          ? []
          : [
              {
                tone: 'warning',
                text: 'the relay does not answer, so the login there ends by itself',
              } as const,
            ]),
        {tone: 'faint', text: `Log in again: tunl login ${event.relay}`},
      ];
    case 'context':
      if (event.state === 'removed') return [{tone: 'plain', text: `${event.context} is removed`}];
      return !event.loggedIn
        ? [{tone: 'faint', text: '    without a token'}]
        : event.expiresAt === undefined
          ? []
          : [{tone: 'faint', text: `    until ${when(event.expiresAt)}`}];
  }
}

function facts({tokenId, scopes, expiresAt}: LoginEvent | IdentityEvent): Line[] {
  const lines = [
    tokenId !== undefined && `token ${tokenId}`,
    scopes !== undefined && `may use ${scopes.length === 0 ? 'nothing' : scopes.join(', ')}`,
    expiresAt !== undefined && `until ${when(expiresAt)}`,
  ];
  return lines.flatMap((text) => (text === false ? [] : [{tone: 'faint', text}]));
}

const when = (iso: string) => clockTime(new Date(iso));

// The stored logins, as commands use and show them.

import {resolve} from 'node:path';
import {type Context, Contexts, EMBEDDED} from '../agent/login/contexts.js';
import {LINK_SETTINGS} from '../agent/settings-table.js';
import {TunlError} from '../core/errors.js';
import {usableState} from '../core/usable-state.js';
import type {ContextEvent} from './account-events.js';
import {flagsOf} from './setting-flags.js';
import type {LinkFlags} from './tunnel-flags.js';

const {relay, context, tokenFile, caFile} = LINK_SETTINGS;

/** The flags of commands that only ask a relay. */
export const askFlags = flagsOf({relay, context, tokenFile, caFile});

export const contexts = () => new Contexts(usableState().path);

/**
 * The flags with the current context, if nothing else says which relay is meant. A relay in the local network is always one
 * inside this process.
 */
export async function withContext<F extends LinkFlags & {lan?: string | boolean | undefined}>(
  flags: F,
  tell: (text: string) => void,
): Promise<F> {
  if (flags.lan) return flags;
  const all = contexts();
  const name = await all.currentBeside(flags);
  if (name === undefined) return flags;
  const {relay: url} = await all.get(name);
  tell(`The relay is ${url}, the current context; --context ${EMBEDDED} is one on this machine.`);
  return {...flags, context: name};
}

/** The name that a command is about. @throws TunlError CONTEXT_UNKNOWN when there is none */
export async function namedOrCurrent(name: string | undefined): Promise<string> {
  const found = name ?? (await contexts().current());
  if (found === undefined) {
    throw new TunlError('CONTEXT_UNKNOWN', {
      reason: 'No context is in use: commands use a relay inside their process.',
    });
  }
  return found;
}

export function contextEvent(
  {name, relay: url, token, expiresAt}: Context,
  current: string | undefined,
  state: ContextEvent['state'] = 'stored',
): ContextEvent {
  return {
    type: 'context',
    state,
    context: name,
    relay: url,
    current: name === current,
    loggedIn: token !== undefined,
    ...(expiresAt !== undefined && {expiresAt}),
  };
}

/** No context: the relay inside the process. */
export function embeddedEvent(isCurrent: boolean): ContextEvent {
  return {type: 'context', state: 'stored', context: EMBEDDED, current: isCurrent, loggedIn: true};
}

/** A stored path must not depend on the folder of the command. */
export const storedPath = (path: string | undefined) => (path === undefined ? undefined : resolve(path));

// Starts a hub from settings and templates, for the library and for the command.

import {systemClock} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import {settle} from '../core/settings.js';
import {stateDir as usualStateDir} from '../core/state-dir.js';
import {type Hub, startHub} from './hub.js';
import {issuerOf} from './issuer-of.js';
import type {HubOptions, RunningHub} from './library.js';
import {makeTemplate} from './make-template.js';
import {HUB_SETTINGS, TEMPLATE_SETTINGS} from './settings-table.js';
import {type Connection, SupervisedSandboxes} from './supervised.js';
import type {Template} from './template.js';
import {ADMIN, HubTokens, SESSIONS} from './tokens.js';

export interface ConfiguredHub {
  readonly settings: ReturnType<typeof settle<typeof HUB_SETTINGS>>;
  readonly templates: readonly Template[];
  readonly stateDir: string;
}

/** @throws TunlError USAGE without a relay, and those of `startHub` */
export async function startFrom(
  {settings, templates, stateDir}: ConfiguredHub,
  {log, signal}: Pick<HubOptions, 'log' | 'signal'>,
): Promise<Hub> {
  const {relay, context, token, tokenFile, caFile} = settings;
  if (relay === undefined && context === undefined) {
    throw new TunlError('USAGE', {
      reason: 'The hub needs a relay: each session has an address of its own there.',
      next: 'Give it one, `relay: https://…`, or log in to one with `tunl login`; `tunl relay start` runs one.',
    });
  }
  const given = Object.entries({relay, context, token, tokenFile, caFile});
  const connection: Connection = Object.fromEntries(given.filter(([, value]) => value !== undefined));
  const {name, mostSessions, startsAtOnce, mostQueued, freeMemory, freeDisk, readyTimeoutMs} = settings;
  const issuer = await issuerOf(settings, connection, stateDir);
  return await startHub({
    stateDir,
    templates,
    sandboxes: new SupervisedSandboxes(stateDir, connection),
    forward: {...connection, ...(signal !== undefined && {signal})},
    name,
    mostSessions,
    mostQueued,
    floors: {freeMemoryBytes: freeMemory, freeDiskBytes: freeDisk},
    readyTimeoutMs,
    issuer,
    log,
    ...(startsAtOnce !== undefined && {startsAtOnce}),
  });
}

export async function openHub(options: HubOptions): Promise<RunningHub> {
  const {templates: given, stateDir = usualStateDir(), log, signal, ...rest} = options;
  const settings = settle(HUB_SETTINGS, rest);
  const templates = await Promise.all(
    Object.entries(given).map(([name, template]) =>
      makeTemplate(name, settle(TEMPLATE_SETTINGS, template, {})),
    ),
  );
  const hub = await startFrom(
    {settings, templates, stateDir},
    {...(log !== undefined && {log}), ...(signal !== undefined && {signal})},
  );
  const close = () => hub.close();
  return {
    url: hub.url,
    closed: hub.closed,
    addUser: async (name, {quota, admin = false} = {}) => {
      const user = await hub.users.add(name, quota);
      const {token} = await new HubTokens(stateDir, systemClock).make(user, {
        scopes: admin ? ADMIN : SESSIONS,
      });
      return {token};
    },
    sessions: () => hub.sessions.list(),
    stop: (id) => hub.sessions.stop(id, 'Its hub stopped it.'),
    close,
    [Symbol.asyncDispose]: close,
  };
}

// The flags of `tunl relay token create` and `set`: what a token allows, and its limits.

import {list, type OptionsOf, setting, size, text, wholeNumber, wholeTime} from '../core/settings.js';
import {MOST_DESTINATIONS, parseDestination} from '../relay/access/destinations.js';
import type {OwnerLimits} from '../relay/access/principal.js';
import {MOST_SCOPES, parseScope} from '../relay/access/rights.js';
import {LIMITS} from '../relay/access/token-record.js';
import {flagsOf, optionsOf, type ValuesOf} from './setting-flags.js';

const GROUP = 'limit of the token';
const number = (max: number) => wholeNumber({min: 0, max});

const LIMIT_SETTINGS = {
  maxTunnels: setting(number(LIMITS.maxTunnels), {
    flag: 'max-tunnels',
    help: 'Tunnels at once.',
    group: GROUP,
  }),
  maxConnections: setting(number(LIMITS.maxConnections), {
    flag: 'max-connections',
    help: 'Connections of visitors at once.',
    group: GROUP,
  }),
  connectionsPerSecond: setting(number(LIMITS.connectionsPerSecond), {
    flag: 'max-connection-rate',
    help: 'New connections of visitors a second.',
    group: GROUP,
  }),
  bytesPerSecond: setting(size({min: 0, max: LIMITS.bytesPerSecond}), {
    flag: 'max-bandwidth',
    help: 'Bytes of visitors a second, such as 10MiB.',
    group: GROUP,
  }),
  maxStreams: setting(number(LIMITS.maxStreams), {
    flag: 'max-streams',
    help: 'Streams that its agents open, at once.',
    group: GROUP,
  }),
};

/** Several may stand in one value. */
const destinations = text('HOST:PORT', (written) => written.split(',').map(parseDestination).join(','));

export const TOKEN_SETTINGS = {
  scopes: setting(list(text('SCOPE', parseScope), {most: MOST_SCOPES}), {
    flag: 'scope',
    help: 'What it allows: name:*, name:ana-*, name:@random, tcp:20000-20100 …; repeatable.',
  }),
  allow: setting(list(destinations, {most: MOST_DESTINATIONS, inLines: true}), {
    flag: 'allow',
    example: 'db.corp:5432,*.example.com:443',
    help: 'What its egress may reach: db.corp:5432, *.example.com:443; repeatable.',
    defaultText: 'all that the relay allows',
  }),
  expiresInMs: setting(wholeTime({minMs: 1_000}), {
    flag: 'expires',
    help: 'It ends after this time, such as 90d.',
    defaultText: 'never',
  }),
  ...LIMIT_SETTINGS,
};

export const tokenFlags = flagsOf(TOKEN_SETTINGS);

type Flags = Partial<ValuesOf<typeof TOKEN_SETTINGS>>;

/** Limits that are not given are left out. */
export function tokenOptions(flags: Flags): {
  scopes?: readonly string[];
  expiresInMs?: number;
  allow?: readonly string[];
  limits: OwnerLimits;
} {
  const {scopes, allow, expiresInMs, ...limits}: OptionsOf<typeof TOKEN_SETTINGS> = optionsOf(
    TOKEN_SETTINGS,
    flags,
  );
  return {
    ...(scopes !== undefined && {scopes}),
    ...(allow !== undefined && {allow: allow.flatMap((each) => each.split(','))}),
    ...(expiresInMs !== undefined && {expiresInMs}),
    limits,
  };
}

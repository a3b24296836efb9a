// The settings of limits, and the standard ones of a host that is open to strangers.

import {type SettingsOf, setting, wholeNumber} from '../../core/settings.js';
import {byteRate} from './byte-rate.js';

const MOST = 10_000_000;
const count = wholeNumber({min: 1, max: MOST});

const LIMITS = 'limit';

/** `key`: the name in a configuration file. */
export const LIMIT_SETTINGS = {
  maxVisitors: setting(count, {
    key: 'max-visitors',
    defaultText: 'by memory and descriptors',
    help: 'Connections of visitors at once.',
    group: LIMITS,
    reloads: true,
  }),
  maxVisitorsPerOwner: setting(count, {
    key: 'max-visitors-per-owner',
    defaultText: '20000; no limit for the token of --token-file',
    help: 'Connections of visitors to all tunnels of an owner at once.',
    group: LIMITS,
    reloads: true,
  }),
  maxVisitorsPerTunnel: setting(count, {
    key: 'max-visitors-per-tunnel',
    defaultText: '10000',
    help: 'Connections of visitors to a tunnel at once.',
    group: LIMITS,
    reloads: true,
  }),
  maxVisitorsPerAddress: setting(count, {
    key: 'max-visitors-per-address',
    defaultText: '4096',
    help: 'Connections of visitors from an address at once.',
    group: LIMITS,
    reloads: true,
  }),
  visitorsPerSecond: setting(count, {
    key: 'visitors-per-second',
    defaultText: 'by the processor',
    help: 'New connections of visitors a second; ten times as many at once.',
    group: LIMITS,
    reloads: true,
  }),
  visitorsPerSecondPerOwner: setting(count, {
    key: 'visitors-per-second-per-owner',
    defaultText: '1000; no limit for the token of --token-file',
    help: 'New connections of visitors a second to all tunnels of an owner.',
    group: LIMITS,
    reloads: true,
  }),
  visitorsPerSecondPerTunnel: setting(count, {
    key: 'visitors-per-second-per-tunnel',
    defaultText: '500',
    help: 'New connections of visitors a second to a tunnel.',
    group: LIMITS,
    reloads: true,
  }),
  visitorsPerSecondPerAddress: setting(count, {
    key: 'visitors-per-second-per-address',
    defaultText: '200',
    help: 'New connections of visitors a second from an address.',
    group: LIMITS,
    reloads: true,
  }),
  maxHandshakesPerAddress: setting(count, {
    key: 'max-handshakes-per-address',
    defaultText: '512',
    help: 'TLS handshakes of an address that have begun and not ended.',
    group: LIMITS,
    reloads: true,
  }),
  unknownNamesPerSecondPerAddress: setting(count, {
    key: 'unknown-names-per-second-per-address',
    defaultText: '50',
    help: 'Connections a second of an address that ask for names without a tunnel; ten times as many at once.',
    group: LIMITS,
    reloads: true,
  }),
  maxSessionsPerOwner: setting(count, {
    key: 'max-sessions-per-owner',
    defaultText: '20000; no limit for the token of --token-file',
    help: 'Agents of an owner at once, with those that have lost their link and may come back.',
    group: LIMITS,
    reloads: true,
  }),
  sessionsPerSecondPerOwner: setting(count, {
    key: 'sessions-per-second-per-owner',
    defaultText: '100; no limit for the token of --token-file',
    help: 'New connections of agents a second of an owner.',
    group: LIMITS,
    reloads: true,
  }),
  bytesPerSecond: setting(byteRate, {
    flag: 'bandwidth',
    defaultText: 'no limit',
    help: 'Bytes a second of all visitors together, both directions, like 10M.',
    group: LIMITS,
    reloads: true,
  }),
  bytesPerSecondPerOwner: setting(byteRate, {
    flag: 'bandwidth-per-owner',
    defaultText: 'no limit',
    help: 'Bytes a second of all tunnels of an owner.',
    group: LIMITS,
    reloads: true,
  }),
  bytesPerSecondPerTunnel: setting(byteRate, {
    flag: 'bandwidth-per-tunnel',
    defaultText: 'no limit',
    help: 'Bytes a second of a tunnel.',
    group: LIMITS,
    reloads: true,
  }),
};

export type LimitSettings = SettingsOf<typeof LIMIT_SETTINGS>;

export interface VisitorNumbers {
  /** Connections at once. */
  readonly most?: number | undefined;
  /** New connections a second. */
  readonly perSecond?: number | undefined;
}

type ByScope = Readonly<Record<'relay' | 'owner' | 'tunnel' | 'address', VisitorNumbers>>;

export interface LimitsOf {
  /** Those that the operator has set. */
  readonly given: ByScope;
  /** Those, and the standard ones. */
  readonly all: ByScope;
}

/** Far more than people need, and far less than a machine can hold for everybody. */
const STANDARD: ByScope = {
  relay: {},
  owner: {most: 20_000, perSecond: 1_000},
  tunnel: {most: 10_000, perSecond: 500},
  address: {most: 4_096, perSecond: 200},
};

export const STANDARD_HANDSHAKES = 512;
export const STANDARD_UNKNOWN_NAMES_PER_SECOND = 50;
export const STANDARD_SESSIONS = 20_000;
export const STANDARD_SESSIONS_PER_SECOND = 100;

export function limitsOf(settings: LimitSettings): LimitsOf {
  // All of them have the same properties in the same order.
  const numbers = (most: number | undefined, perSecond: number | undefined): VisitorNumbers => ({
    most,
    perSecond,
  });
  const given = {
    relay: numbers(settings.maxVisitors, settings.visitorsPerSecond),
    owner: numbers(settings.maxVisitorsPerOwner, settings.visitorsPerSecondPerOwner),
    tunnel: numbers(settings.maxVisitorsPerTunnel, settings.visitorsPerSecondPerTunnel),
    address: numbers(settings.maxVisitorsPerAddress, settings.visitorsPerSecondPerAddress),
  };
  const either = (by: keyof ByScope): VisitorNumbers =>
    numbers(given[by].most ?? STANDARD[by].most, given[by].perSecond ?? STANDARD[by].perSecond);
  const all = {
    relay: either('relay'),
    owner: either('owner'),
    tunnel: either('tunnel'),
    address: either('address'),
  };
  return {given, all};
}

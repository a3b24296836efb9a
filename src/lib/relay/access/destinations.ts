// The destinations that a token may reach by egress: rules of the form HOST:PORT. A token without rules may reach all that the
// relay allows.

import {TunlError} from '../../core/errors.js';
import {hostName, plainAddress} from '../../net/host-name.js';

export const MOST_DESTINATIONS = 100;
const MOST_CHARACTERS = 300;

/** Says what a token may reach. */
export interface Destinations {
  /** The rules as text, for lists. Undefined: there are none. */
  readonly rules: readonly string[] | undefined;
  /** @param host as the agent wrote it. */
  allow(host: string, port: number): boolean;
  /** The host with any port: it may be looked up. */
  allowHost(host: string): boolean;
}

interface Rule {
  /** `*`: every host. `.example.com`: every name below it. Else a name or an address in its usual spelling. */
  readonly host: string;
  readonly first: number;
  readonly last: number;
}

export const ALL_DESTINATIONS: Destinations = {
  rules: undefined,
  allow: () => true,
  allowHost: () => true,
};

export const NO_DESTINATIONS: Destinations = {rules: [], allow: () => false, allowHost: () => false};

/** A rule as it is stored, in its usual spelling. @throws TunlError OPTION_INVALID */
export function parseDestination(written: string): string {
  const rule = written.length > MOST_CHARACTERS ? undefined : readRule(written.trim());
  if (rule !== undefined) return ruleText(rule);
  throw new TunlError('OPTION_INVALID', {
    reason: `${JSON.stringify(written.slice(0, 80))} is no destination.`,
    next: 'Write HOST:PORT, like db.corp:5432, *.example.com:443, 203.0.113.7:8000-8100 or [2001:db8::1]:443; * is any host or port.',
  });
}

/** A rule that cannot be read allows nothing. @param rules undefined: no limit. */
export function destinationsOf(rules: readonly string[] | undefined): Destinations {
  if (rules === undefined) return ALL_DESTINATIONS;
  const read = rules.map(readRule).filter((rule) => rule !== undefined);
  const matching = (written: string) => {
    const host = plainAddress(written) ?? hostName(written);
    return host === undefined ? [] : read.filter((rule) => matches(rule.host, host));
  };
  return {
    rules,
    allow: (host, port) => matching(host).some(({first, last}) => first <= port && port <= last),
    allowHost: (host) => matching(host).length > 0,
  };
}

function matches(pattern: string, host: string): boolean {
  if (pattern === '*' || pattern === host) return true;
  return pattern.startsWith('.') && host.endsWith(pattern);
}

function readRule(written: string): Rule | undefined {
  const [, host = '', ports = ''] = /^(.+):([0-9*-]+)$/.exec(written) ?? [];
  const range = readPorts(ports);
  const of = readHost(host);
  return range === undefined || of === undefined ? undefined : {host: of, ...range};
}

function readHost(written: string): string | undefined {
  if (written === '*') return written;
  if (written.startsWith('*.')) {
    const name = hostName(written.slice(2));
    return name === undefined ? undefined : `.${name}`;
  }
  const [, six] = /^\[(.+)\]$/.exec(written) ?? [];
  if (six !== undefined) return plainAddress(six);
  return written.includes(':') ? undefined : (plainAddress(written) ?? hostName(written));
}

function readPorts(written: string): {first: number; last: number} | undefined {
  if (written === '*') return {first: 1, last: 65_535};
  const found = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(written);
  if (found === null) return undefined;
  const first = Number(found[1]);
  const last = Number(found[2] ?? found[1]);
  return first >= 1 && first <= last && last <= 65_535 ? {first, last} : undefined;
}

function ruleText({host, first, last}: Rule): string {
  const shown = host.startsWith('.') ? `*${host}` : host.includes(':') ? `[${host}]` : host;
  if (first === 1 && last === 65_535) return `${shown}:*`;
  return `${shown}:${first === last ? first : `${first}-${last}`}`;
}

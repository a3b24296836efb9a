// The rights of a token: scopes of the form `kind:what`. Everything that no scope allows is denied, and an empty list allows
// nothing. A new kind is a row of SCOPES.

import {TunlError} from '../../core/errors.js';
import {matchesGlob} from '../../core/glob.js';
import {ALL_DESTINATIONS, type Destinations, destinationsOf, NO_DESTINATIONS} from './destinations.js';

/** `*` alone allows everything of a kind. */
export const EVERYTHING = '*';
/** Stands for a name that the relay chooses by chance: only `name:*` and `name:@random` allow it. */
export const RANDOM_NAME = '@random';
/** Stands for a port that the system chooses: a scope must allow all of them. */
export const ANY_PORT = '1024-65535';

export const MOST_SCOPES = 100;
const MOST_CHARACTERS = 253;

interface ScopeRow {
  /** How the text after the colon is written, for messages and the help. */
  readonly form: string;
  /** The meaning of the scope, in a few words. */
  readonly allows: string;
  /** Checks the text of a scope that is not `*`, in lower case. */
  readonly isValid: (pattern: string) => boolean;
  readonly matches: (pattern: string, what: string) => boolean;
}

const glob = (characters: RegExp): Pick<ScopeRow, 'isValid' | 'matches'> => ({
  isValid: (pattern) => characters.test(pattern),
  matches: matchesGlob,
});
const word = glob(/^[a-z0-9*][a-z0-9*._-]*$/);
const action = {...word, form: 'ACTION'};

/** Every kind of scope. What is asked for is in lower case. */
export const SCOPES = {
  name: {
    form: `NAME, with * for any characters, or ${RANDOM_NAME}`,
    allows: 'tunnels with such a name',
    isValid: (pattern) => pattern === RANDOM_NAME || /^[a-z0-9*-]+$/.test(pattern),
    matches: (pattern, what) => (what === RANDOM_NAME ? pattern === what : matchesGlob(pattern, what)),
  },
  tcp: {
    form: 'PORT or FIRST-LAST',
    allows: 'tunnels with such a TCP port',
    isValid: (pattern) => rangeOf(pattern) !== undefined,
    matches: (pattern, what) => {
      const allowed = rangeOf(pattern);
      const asked = rangeOf(what);
      return allowed !== undefined && asked !== undefined && allowed[0] <= asked[0] && asked[1] <= allowed[1];
    },
  },
  domain: {...glob(/^[a-z0-9*.-]+$/), form: 'DOMAIN, with * for any characters', allows: 'own domains'},
  egress: {...word, form: 'NAME', allows: 'egress through such an exit'},
  net: {...word, form: 'NAME', allows: 'membership of such a private network'},
  cluster: {...word, form: 'NAME', allows: 'membership of such a cluster'},
  hub: {...action, allows: 'actions of the hub'},
  admin: {...action, allows: 'actions of an operator'},
} as const satisfies Record<string, ScopeRow>;

export type ScopeKind = keyof typeof SCOPES;

export interface Rights {
  /** The scopes as text, for lists. */
  readonly scopes: readonly string[];
  /** `what`: a name, a port, a range of ports (all of it must be allowed), an action. */
  allows(kind: ScopeKind, what: string): boolean;
  /** The allowed ports; undefined: all. */
  readonly ports: readonly PortRange[] | undefined;
  /** The destinations that connections by egress may reach. The relay has rules of its own besides. */
  readonly destinations: Destinations;
}

export type PortRange = readonly [first: number, last: number];

export const ALL_RIGHTS: Rights = {
  scopes: Object.keys(SCOPES).map((kind) => `${kind}:${EVERYTHING}`),
  allows: () => true,
  ports: undefined,
  destinations: ALL_DESTINATIONS,
};

/** The holder of a relay's single token runs it, and may run its hub under the reserved name. */
export const OPERATORS_RIGHTS: Rights = {...ALL_RIGHTS, scopes: [...ALL_RIGHTS.scopes, 'name:hub']};

export const isEverything = (rights: Rights): boolean => rights === ALL_RIGHTS || rights === OPERATORS_RIGHTS;

export const NO_RIGHTS: Rights = {
  scopes: [],
  allows: () => false,
  ports: [],
  destinations: NO_DESTINATIONS,
};

/** A scope as it is stored, in lower case. @throws TunlError OPTION_INVALID */
export function parseScope(written: string): string {
  const text = written.trim().toLowerCase();
  const [kind, pattern] = split(text);
  const row = rowOf(kind);
  if (row === undefined) {
    throw new TunlError('OPTION_INVALID', {
      reason: `${JSON.stringify(written)} is no scope.`,
      next: `Write KIND:WHAT, where KIND is one of ${Object.keys(SCOPES).join(', ')}.`,
    });
  }
  const isFine =
    pattern === EVERYTHING ||
    (pattern !== undefined && pattern.length <= MOST_CHARACTERS && row.isValid(pattern));
  if (isFine) return text;
  throw new TunlError('OPTION_INVALID', {
    reason: `${JSON.stringify(written)} is no valid scope.`,
    next: `Write ${kind}:WHAT, where WHAT is ${row.form}, or ${kind}:* for all.`,
  });
}

/**
 * Scopes of a kind that this version does not know, or cannot read, allow nothing.
 *
 * @param destinations rules of the form HOST:PORT. Default: all.
 */
export function rightsOf(scopes: readonly string[], destinations?: readonly string[]): Rights {
  const patterns = new Map<string, string[]>();
  for (const [kind, pattern] of scopes.map(split)) {
    if (pattern === undefined) continue;
    const of = patterns.get(kind) ?? [];
    of.push(pattern);
    patterns.set(kind, of);
  }
  const ports = patterns.get('tcp') ?? [];
  return {
    scopes,
    allows: (kind, what) =>
      patterns.get(kind)?.some((pattern) => pattern === EVERYTHING || SCOPES[kind].matches(pattern, what)) ??
      false,
    destinations: destinationsOf(destinations),
    ports: ports.includes(EVERYTHING) ? undefined : ports.map(rangeOf).filter((range) => range !== undefined),
  };
}

function split(scope: string): [kind: string, pattern: string | undefined] {
  const colon = scope.indexOf(':');
  return colon < 0 ? [scope, undefined] : [scope.slice(0, colon), scope.slice(colon + 1)];
}

function rowOf(kind: string): ScopeRow | undefined {
  return Object.hasOwn(SCOPES, kind) ? SCOPES[kind as ScopeKind] : undefined;
}

function rangeOf(text: string): PortRange | undefined {
  const found = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (found === null) return undefined;
  const first = Number(found[1]);
  const last = Number(found[2] ?? found[1]);
  return first >= 1 && first <= last && last <= 65_535 ? [first, last] : undefined;
}

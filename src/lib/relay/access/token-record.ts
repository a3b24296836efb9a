// A token of the registry as it is stored, and the text of the file with all of them.

import {TunlError} from '../../core/errors.js';
import type {OwnerLimits} from './principal.js';

/** Times are ISO 8601, because people read the file. */
export interface TokenRecord {
  readonly id: string;
  /** For people; unique among the tokens that are not revoked. */
  readonly name: string;
  /** Its maker: `agent` for operators. It is a part of the token. */
  readonly kind: string;
  readonly owner: string;
  readonly scopes: readonly string[];
  readonly limits: OwnerLimits;
  /** The destinations that its connections by egress may reach: HOST:PORT. Absent: all that the relay allows. */
  readonly allow?: readonly string[];
  /** SHA-256 of the whole token, in base64url. */
  readonly hash: string;
  readonly createdAt: string;
  readonly expiresAt?: string;
  readonly revokedAt?: string;
  /** The token before the last rotation. It is good until this time. */
  readonly previous?: {readonly hash: string; readonly until: string};
}

export const VERSION = 1;
/** The most tokens in one file, so that a relay reads it in one turn. */
export const MOST_TOKENS = 10_000;

const OWNER = /^[a-z0-9][a-z0-9._@+-]{0,63}$/;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._@+ -]{0,63}$/;

/** The names of limits, with the largest value of each. */
export const LIMITS = {
  maxTunnels: 100_000,
  maxConnections: 1_000_000,
  connectionsPerSecond: 1_000_000,
  bytesPerSecond: 2 ** 40,
  maxStreams: 65_536,
} as const satisfies Record<keyof OwnerLimits, number>;

/** @throws TunlError OPTION_INVALID */
export function checkOwner(owner: string): string {
  const text = owner.toLowerCase();
  if (OWNER.test(text)) return text;
  throw new TunlError('OPTION_INVALID', {
    reason: `${JSON.stringify(owner.slice(0, 80))} cannot be an owner.`,
    next: 'Use 1 to 64 letters, digits and . _ @ + -, such as ana or ci@example.com.',
  });
}

/** @throws TunlError OPTION_INVALID */
export function checkName(name: string): string {
  if (NAME.test(name)) return name;
  throw new TunlError('OPTION_INVALID', {
    reason: `${JSON.stringify(name.slice(0, 80))} cannot be the name of a token.`,
    next: 'Use 1 to 64 letters, digits, spaces and . _ @ + -.',
  });
}

export function textOf(records: readonly TokenRecord[]): string {
  return `${JSON.stringify({version: VERSION, tokens: records}, undefined, 2)}\n`;
}

/** @throws Error with the reason why this is no file of tokens, for people. It contains nothing of the file but its version. */
export function parseRecords(text: string): TokenRecord[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(text === '' ? 'it is empty' : 'it is no JSON');
  }
  const {version, tokens} = asObject(value) ?? {};
  if (version !== VERSION) {
    throw new Error(
      typeof version === 'number'
        ? `its version is ${version}, and this tunl knows version ${VERSION}`
        : 'it is no list of tokens',
    );
  }
  if (!Array.isArray(tokens) || tokens.length > MOST_TOKENS) throw new Error('it is no list of tokens');
  const records = tokens.map(parseRecord);
  if (new Set(records.map(({id}) => id)).size !== records.length) throw new Error('two tokens have one id');
  return records;
}

/** One record that cannot be read makes the whole file invalid: it could be the one that was revoked. */
function parseRecord(value: unknown, at: number): TokenRecord {
  const fields = asObject(value) ?? {};
  const bad = (name: string) => new Error(`token ${at + 1} has no valid ${name}`);
  const text = (name: string, form: RegExp, from: Fields = fields): string => {
    const found = from[name];
    if (typeof found !== 'string' || !form.test(found)) throw bad(name);
    return found;
  };
  const time = (name: string, from: Fields = fields) => {
    const found = text(name, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/, from);
    if (Number.isNaN(Date.parse(found))) throw bad(name);
    return found;
  };
  const texts = (name: string): string[] => {
    const found = fields[name];
    if (!Array.isArray(found) || !found.every((each) => typeof each === 'string')) throw bad(name);
    return found;
  };
  const previous = fields.previous === undefined ? undefined : asObject(fields.previous);
  if (fields.previous !== undefined && previous === undefined) throw bad('previous');
  return {
    id: text('id', /^[a-z2-7]{10}$/),
    name: text('name', NAME),
    kind: text('kind', /^[a-z]{1,12}$/),
    owner: text('owner', OWNER),
    scopes: texts('scopes'),
    ...(fields.allow !== undefined && {allow: texts('allow')}),
    limits: parseLimits(fields.limits, () => bad('limits')),
    hash: text('hash', HASH),
    createdAt: time('createdAt'),
    ...(fields.expiresAt !== undefined && {expiresAt: time('expiresAt')}),
    ...(fields.revokedAt !== undefined && {revokedAt: time('revokedAt')}),
    ...(previous !== undefined && {
      previous: {hash: text('hash', HASH, previous), until: time('until', previous)},
    }),
  };
}

const HASH = /^[A-Za-z0-9_-]{43}$/;

function parseLimits(value: unknown, bad: () => Error): OwnerLimits {
  const fields = asObject(value);
  if (fields === undefined) throw bad();
  const limits = Object.entries(LIMITS).flatMap(([name, most]) => {
    const limit = fields[name];
    if (limit === undefined) return [];
    if (typeof limit !== 'number' || !Number.isInteger(limit) || limit < 0 || limit > most) throw bad();
    return [[name, limit]];
  });
  return Object.fromEntries(limits) as OwnerLimits;
}

type Fields = Readonly<Record<string, unknown>>;

function asObject(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}

// The operator's actions on tokens: make, list, change, replace and revoke them.

import {TunlError} from '../../core/errors.js';
import {MOST_DESTINATIONS, parseDestination} from './destinations.js';
import type {OwnerLimits} from './principal.js';
import {MOST_SCOPES, parseScope} from './rights.js';
import {TokenFile} from './token-file.js';
import {checkName, checkOwner, MOST_TOKENS, type TokenRecord} from './token-record.js';
import {hashOfToken, newToken, newTokenId} from './token-text.js';
import {useTime} from './use-times.js';

const DAY_MS = 86_400_000;
/** Tokens that ended this long ago leave the file when another one is made, ms. Logins make many. */
const keepEndedMs = (kind: string) => (kind === AGENT ? 90 : 1) * DAY_MS;
/** A token that an operator has made. */
const AGENT = 'agent';
/** More would be no time. */
const FOR_EVER = Number.POSITIVE_INFINITY;

export interface NewToken {
  name: string;
  /** Default: the name, if it can be an owner. */
  owner?: string | undefined;
  scopes: readonly string[];
  /** 0: none. */
  limits?: OwnerLimits;
  /** The destinations that its connections by egress may reach: HOST:PORT. Default: all that the relay allows. */
  allow?: readonly string[] | undefined;
  /** Its maker. Default: `agent`, an operator. Only those have names of their own. */
  kind?: string;
  /** Default: never. */
  expiresInMs?: number | undefined;
}

export interface TokenChange {
  scopes?: readonly string[] | undefined;
  /** 0: none. */
  limits?: OwnerLimits;
  /** `*:*`: all that the relay allows. */
  allow?: readonly string[] | undefined;
  /** From now on. */
  expiresInMs?: number | undefined;
}

/** A token that was just made: the only time that its text is known. */
export interface MadeToken {
  token: string;
  record: TokenRecord;
}

export type TokenState = 'active' | 'expired' | 'revoked';

export interface ListedToken {
  record: TokenRecord;
  state: TokenState;
  /** The last login, exact to a minute; undefined: none yet. */
  usedAt: Date | undefined;
}

export class TokenCommands {
  readonly #file: TokenFile;

  constructor(stateDir: string) {
    this.#file = new TokenFile(stateDir);
  }

  /** The owner keeps its names and ports over all its tokens. @throws TunlError */
  async create(wish: NewToken): Promise<MadeToken> {
    const now = Date.now();
    const name = checkName(wish.name);
    const id = newTokenId();
    const {kind = AGENT} = wish;
    const token = newToken(kind, id);
    const record: TokenRecord = {
      id,
      name,
      kind,
      owner: checkOwner(wish.owner ?? name),
      scopes: checkScopes(wish.scopes),
      limits: realLimits(wish.limits ?? {}),
      ...(wish.allow !== undefined && {allow: checkDestinations(wish.allow)}),
      hash: storedHash(token),
      createdAt: new Date(now).toISOString(),
      ...expiry(now, wish.expiresInMs),
    };
    return await this.#file.change((records) => {
      const kept = records.filter((each) => endedAt(each) > now - keepEndedMs(each.kind));
      if (kept.length >= MOST_TOKENS)
        throw new TunlError('OPTION_INVALID', {reason: `There are ${kept.length} tokens already.`});
      const named = kept.find((each) => isNamed(each, name));
      if (kind === AGENT && named !== undefined) throw nameInUse(named);
      return [[...kept, record], {token, record}];
    });
  }

  async list(): Promise<ListedToken[]> {
    const records = (await this.#file.read()) ?? [];
    return await Promise.all(
      records.map(async (record) => ({
        record,
        state: stateOf(record),
        usedAt: await useTime(this.#file.path, record.id),
      })),
    );
  }

  /**
   * Makes a new text for the token: id, owner, scopes and names stay.
   *
   * @param keepOldMs the old one is good for this time. Default 0.
   */
  async rotate(idOrName: string, keepOldMs = 0): Promise<MadeToken> {
    const now = Date.now();
    return await this.#changeOne(idOrName, (before) => {
      // The new one would end with the old one.
      if (stateOf(before) === 'expired') throw new TunlError('OPTION_INVALID', expiredAlready(before));
      const token = newToken(before.kind, before.id);
      const previous = {hash: before.hash, until: new Date(now + keepOldMs).toISOString()};
      const record = {...before, hash: storedHash(token), previous};
      return [record, {token, record}];
    });
  }

  async revoke(idOrName: string): Promise<TokenRecord> {
    return await this.#changeOne(idOrName, (before) => {
      const record = {...before, revokedAt: new Date().toISOString()};
      return [record, record];
    });
  }

  /** Live sessions get the new rights, and lose what they do not allow any more. */
  async set(idOrName: string, change: TokenChange): Promise<TokenRecord> {
    const now = Date.now();
    const scopes = change.scopes && checkScopes(change.scopes);
    const allow = change.allow && checkDestinations(change.allow);
    return await this.#changeOne(idOrName, (before) => {
      const record: TokenRecord = {
        ...before,
        ...(scopes !== undefined && {scopes}),
        ...(allow !== undefined && {allow}),
        limits: realLimits({...before.limits, ...change.limits}),
        ...expiry(now, change.expiresInMs),
      };
      return [record, record];
    });
  }

  async #changeOne<T>(idOrName: string, change: (record: TokenRecord) => [TokenRecord, T]): Promise<T> {
    return await this.#file.change((records) => {
      const found =
        records.find(({id}) => id === idOrName) ?? records.find((record) => isNamed(record, idOrName));
      if (found === undefined) throw new TunlError('TOKEN_UNKNOWN');
      if (found.revokedAt !== undefined) {
        throw new TunlError('TOKEN_UNKNOWN', {reason: `Token ${found.id} was revoked already.`});
      }
      const [record, result] = change(found);
      return [records.map((each) => (each === found ? record : each)), result];
    });
  }
}

function isNamed({name, kind, revokedAt}: TokenRecord, wanted: string): boolean {
  return kind === AGENT && name === wanted && revokedAt === undefined;
}

function nameInUse(record: TokenRecord): TunlError {
  const {name} = record;
  if (stateOf(record) === 'expired') {
    const {reason, next} = expiredAlready(record);
    return new TunlError('OPTION_INVALID', {
      reason: `There is a token ${name} already. ${reason}`,
      next: `Give this one another name. ${next}`,
    });
  }
  return new TunlError('OPTION_INVALID', {
    reason: `There is a token ${name} already.`,
    next: `Give it another name, or replace that one: tunl relay token rotate ${JSON.stringify(name)}`,
  });
}

function expiredAlready({id}: TokenRecord): {reason: string; next: string} {
  return {
    reason: `Token ${id} has expired.`,
    next: `Give it more time: tunl relay token set ${id} --expires TIME; or free its name: tunl relay token revoke ${id}`,
  };
}

function checkScopes(scopes: readonly string[]): string[] {
  if (scopes.length > MOST_SCOPES)
    throw new TunlError('OPTION_INVALID', {reason: `A token has ${MOST_SCOPES} scopes at the most.`});
  return [...new Set(scopes.map(parseScope))];
}

function checkDestinations(rules: readonly string[]): string[] {
  if (rules.length > MOST_DESTINATIONS)
    throw new TunlError('OPTION_INVALID', {
      reason: `A token has ${MOST_DESTINATIONS} destinations at the most.`,
    });
  return [...new Set(rules.map(parseDestination))];
}

/** In a record an absent limit is none. */
function realLimits(limits: OwnerLimits): OwnerLimits {
  return Object.fromEntries(Object.entries(limits).filter(([, limit]) => limit > 0));
}

const storedHash = (token: string): string => hashOfToken(token).toString('base64url');

function expiry(now: number, inMs: number | undefined): {expiresAt?: string} {
  return inMs === undefined ? {} : {expiresAt: new Date(now + inMs).toISOString()};
}

function endedAt({revokedAt, expiresAt}: TokenRecord): number {
  const times = [revokedAt, expiresAt].filter((time) => time !== undefined).map((time) => Date.parse(time));
  return Math.min(FOR_EVER, ...times);
}

function stateOf({revokedAt, expiresAt}: TokenRecord): TokenState {
  if (revokedAt !== undefined) return 'revoked';
  return expiresAt !== undefined && Date.parse(expiresAt) <= Date.now() ? 'expired' : 'active';
}

// Logins of people and jobs: a token of an issuer is exchanged for one of the registry, which lasts longer and can be revoked.

import type {Clock} from '../../core/clock.js';
import {toTunlError} from '../../core/errors.js';
import type {LoginAnswer} from '../../protocol/site-messages.js';
import {TokenBuckets} from '../doors/token-buckets.js';
import type {RelayEvents} from '../events.js';
import type {Refusal} from './access.js';
import type {Oidc} from './oidc.js';
import type {Principal} from './principal.js';
import {MOST_TOKENS, type TokenRecord} from './token-record.js';
import type {TokenRegistry} from './token-registry.js';
import {hashOfToken, newToken, newTokenId, tokenIdOf} from './token-text.js';

/** The most logins of an owner that last at once. One more revokes the oldest. */
const MOST_LOGINS = 50;
/** Each login and each logout writes the file of tokens. */
const LOGIN_BURST = 10;
const PER_SECOND = 0.2;
/** An owner can end all its logins at once. */
const LOGOUT_BURST = MOST_LOGINS;
/** A login that ended this long ago leaves the file, ms. */
const KEEP_ENDED_MS = 86_400_000;
/** The most ended logins of an owner in the file: it has room for those of others. */
const MOST_ENDED = 50;

export interface LoginsOptions {
  oidc: Pick<Oidc, 'identityOf' | 'map' | 'sessionMs'>;
  registry: Pick<TokenRegistry, 'file' | 'look' | 'recordOf'>;
  clock: Clock;
  events: Pick<RelayEvents, 'emit'>;
  /** Ms since 1970. */
  wallNow?: () => number;
}

export class Logins {
  readonly #options: LoginsOptions;
  readonly #logins: TokenBuckets;
  readonly #logouts: TokenBuckets;
  /** The logouts that are under way, by the id of the token. */
  readonly #ending = new Map<string, Promise<void>>();
  readonly #wallNow: () => number;

  constructor(options: LoginsOptions) {
    const {clock} = options;
    this.#options = options;
    this.#logins = new TokenBuckets({burst: LOGIN_BURST, perSecond: PER_SECOND, clock});
    this.#logouts = new TokenBuckets({burst: LOGOUT_BURST, perSecond: PER_SECOND, clock});
    this.#wallNow = options.wallNow ?? Date.now;
  }

  /** @param renewed a token from an earlier login: if it can go on, its end is moved, and the answer has no token. */
  async exchange(
    principal: Principal,
    {renewed, from}: {renewed: string | undefined; from: string},
  ): Promise<LoginAnswer | Refusal> {
    const {oidc, registry, events} = this.#options;
    const proven = oidc.identityOf(principal);
    const mapped = proven && oidc.map(proven);
    if (proven === undefined || mapped === undefined) return NOT_OF_AN_ISSUER;
    const {owner, scopes, allow} = mapped;
    const rights = {scopes, ...(allow !== undefined && {allow})};
    if (!this.#logins.has(owner)) return {...BUSY, status: 429, retryAfterMs: this.#logins.waitMs(owner)};
    this.#logins.spend(owner);
    const now = this.#wallNow();
    const expiresAt = new Date(now + oidc.sessionMs).toISOString();
    try {
      const {record, token} = await registry.file.change<Stored>((all) => {
        const kept = withoutEnded(all, owner, now);
        const before =
          renewed === undefined ? undefined : kept.find((each) => isRenewed(each, renewed, owner));
        if (before !== undefined) {
          const {allow: _, ...rest} = before;
          const longer = {...rest, ...rights, expiresAt};
          return [kept.map((each) => (each === before ? longer : each)), {record: longer, token: undefined}];
        }
        const made = newLogin({owner, ...rights, expiresAt, createdAt: new Date(now).toISOString()});
        const records = withRoom(withoutOldest(kept, owner, now), now);
        if (records.length >= MOST_TOKENS) throw new Error('there are too many tokens');
        return [[...records, made.record], made];
      });
      await registry.look();
      const {issuer} = proven;
      events.emit({type: 'logged-in', owner, tokenId: record.id, issuer, from, renewed: token === undefined});
      return {owner, tokenId: record.id, scopes, expiresAt, ...(token !== undefined && {token})};
    } catch (error) {
      events.emit({type: 'login-failed', owner, reason: toTunlError(error).message});
      return BUSY;
    }
  }

  /**
   * Ends a login. Tokens that an operator or an issuer has made are not changed, and cost no look at the file: the registry
   * knows each token that it has just found right.
   */
  async end({owner, tokenId}: Principal, from: string): Promise<Refusal | undefined> {
    const record = tokenId === undefined ? undefined : this.#options.registry.recordOf(tokenId);
    if (record === undefined || record.owner !== owner || !isLasting(record)) return undefined;
    let ending = this.#ending.get(record.id);
    if (ending === undefined) {
      if (!this.#logouts.has(owner))
        return {...NO_LOGOUTS, status: 429, retryAfterMs: this.#logouts.waitMs(owner)};
      this.#logouts.spend(owner);
      ending = this.#revoke(record, from).finally(() => this.#ending.delete(record.id));
      this.#ending.set(record.id, ending);
    }
    try {
      await ending;
      return undefined;
    } catch {
      return NO_LOGOUTS;
    }
  }

  async #revoke({id, owner}: TokenRecord, from: string): Promise<void> {
    const {registry, events} = this.#options;
    const revokedAt = new Date(this.#wallNow()).toISOString();
    const isOver = await registry.file.change((all) => {
      const found = all.find((each) => each.id === id && isLasting(each));
      if (found === undefined) return [all, false];
      return [all.map((each) => (each === found ? {...each, revokedAt} : each)), true];
    });
    if (!isOver) return;
    await registry.look();
    events.emit({type: 'logged-out', owner, tokenId: id, from});
  }
}

const KIND = 'login';
const isLogin = ({kind}: TokenRecord) => kind === KIND;
/** A login that nobody has ended. */
const isLasting = (record: TokenRecord) => isLogin(record) && record.revokedAt === undefined;

const storedHash = (token: string) => hashOfToken(token).toString('base64url');

interface Stored {
  record: TokenRecord;
  /** Undefined: the one before goes on. */
  token: string | undefined;
}

function newLogin(
  about: Pick<TokenRecord, 'owner' | 'scopes' | 'allow' | 'expiresAt' | 'createdAt'>,
): Stored {
  const id = newTokenId();
  const token = newToken(KIND, id);
  const record: TokenRecord = {
    ...about,
    id,
    kind: KIND,
    name: `login ${id}`,
    limits: {},
    hash: storedHash(token),
  };
  return {record, token};
}

function isRenewed(record: TokenRecord, token: string, owner: string): boolean {
  const {id, hash} = record;
  if (!isLasting(record) || record.owner !== owner) return false;
  return id === tokenIdOf(token) && hash === storedHash(token);
}

/** A login that left the file is refused like an unknown one, and its sessions end like those of a revoked one. */
function withoutEnded(records: readonly TokenRecord[], owner: string, now: number): TokenRecord[] {
  const own = records
    .filter((each) => isLogin(each) && each.owner === owner && endOf(each) <= now)
    .sort((a, b) => endOf(b) - endOf(a));
  const over = new Set(own.slice(MOST_ENDED));
  return records.filter((each) => !isLogin(each) || (endOf(each) > now - KEEP_ENDED_MS && !over.has(each)));
}

function withoutOldest(records: readonly TokenRecord[], owner: string, now: number): TokenRecord[] {
  const own = records
    .filter((each) => isLogin(each) && each.owner === owner && endOf(each) > now)
    .sort((a, b) => a.createdAt.localeCompare(b.createdAt));
  const over = new Set(own.slice(0, Math.max(0, own.length - MOST_LOGINS + 1)));
  return records.map((each) => (over.has(each) ? {...each, revokedAt: new Date(now).toISOString()} : each));
}

/** The ended logins of all owners leave a full file, the oldest first: they only tell their holders why they ended. */
function withRoom(records: readonly TokenRecord[], now: number): readonly TokenRecord[] {
  const missing = records.length - MOST_TOKENS + 1;
  if (missing <= 0) return records;
  const ended = records
    .filter((each) => isLogin(each) && endOf(each) <= now)
    .sort((a, b) => endOf(a) - endOf(b));
  const over = new Set(ended.slice(0, missing));
  return records.filter((each) => !over.has(each));
}

function endOf({revokedAt, expiresAt}: TokenRecord): number {
  return Date.parse(revokedAt ?? expiresAt ?? '9999-12-31');
}

const NOT_OF_AN_ISSUER: Refusal = {
  ok: false,
  code: 'NOT_ALLOWED',
  status: 403,
  message: 'Only a token of an issuer can be exchanged.',
};
const BUSY: Refusal = {
  ok: false,
  code: 'RELAY_BUSY',
  status: 503,
  message: 'The relay takes no logins now.',
  retryAfterMs: 5_000,
};
const NO_LOGOUTS: Refusal = {...BUSY, message: 'The relay cannot end the login now.'};

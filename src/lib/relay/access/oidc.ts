// Verifies tokens of issuers of identities: signed with an asymmetric key, made for this relay, not expired.

import type * as Jose from 'jose';
import type {Clock, Timer} from '../../core/clock.js';
import {TunlError} from '../../core/errors.js';
import {createHash} from '../../core/node-crypto.js';
import {readCaFile} from '../../core/pem.js';
import type {IssuerInfo} from '../../protocol/site-messages.js';
import type {RelayEvents} from '../events.js';
import type {RelaySettings} from '../settings.js';
import {type Refusal, type Verdict, type Verifier, WRONG} from './access.js';
import {IssuerKeys} from './issuer-keys.js';
import {type Identified, type Mapped, mapIdentity, parseRule, type Rule} from './oidc-rules.js';
import type {OIDC_SETTINGS} from './oidc-settings.js';
import type {Principal} from './principal.js';
import {NO_RIGHTS, type Rights, rightsOf} from './rights.js';

/** No algorithm with a shared secret: the public key would be the secret. */
const ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];
/** Clocks differ. */
const TOLERANCE_MS = 30_000;
/** Longer tokens do not fit into the head of a request anyway. */
const MOST_CHARACTERS = 12 * 1024;
/** How often to look for identities that have expired, ms. */
const LOOK_EVERY_MS = 1_000;

export type OidcValues = Pick<RelaySettings, keyof typeof OIDC_SETTINGS>;

export interface OidcOptions {
  settings: OidcValues;
  clock: Clock;
  events: Pick<RelayEvents, 'emit'>;
  /** Ms since 1970. */
  wallNow?: () => number;
}

/** An identity that was proved by a token. */
export interface Proven extends Identified {
  readonly expiresAt: number;
}

export class Oidc implements Verifier {
  readonly #options: OidcOptions;
  readonly #wallNow: () => number;
  readonly #listeners: (() => void)[] = [];
  readonly #proven = new WeakMap<Principal, Proven>();
  /** The ends of tokens that were accepted, in whole seconds since 1970. */
  readonly #ends = new Set<number>();
  #settings: OidcValues;
  #rules: readonly Rule[];
  #keys: ReadonlyMap<string, IssuerKeys> = new Map();
  #timer: Timer | undefined;

  constructor(options: OidcOptions) {
    this.#options = options;
    this.#wallNow = options.wallNow ?? Date.now;
    this.#settings = options.settings;
    this.#rules = options.settings.oidcRules.map(parseRule);
  }

  get isNeeded(): boolean {
    return this.#settings.oidcIssuers.length > 0;
  }

  /** Where people log in. */
  get login(): IssuerInfo | undefined {
    const {oidcIssuers, oidcClient: clientId, oidcScope: scope} = this.#settings;
    const [issuer] = oidcIssuers;
    return issuer === undefined || clientId === undefined ? undefined : {issuer, clientId, scope};
  }

  /** How long a login lasts. */
  get sessionMs(): number {
    return this.#settings.oidcSessionMs;
  }

  /** An issuer that is away does not keep the relay from starting. @throws TunlError the error of the CA file */
  async start(): Promise<void> {
    await this.#setUp(this.#settings);
  }

  close(): void {
    this.#timer?.cancel();
    for (const keys of this.#keys.values()) keys.close();
  }

  async checkReload({oidcCaFile}: OidcValues): Promise<void> {
    if (oidcCaFile !== undefined) await readCaFile(oidcCaFile);
  }

  async reload(settings: OidcValues): Promise<void> {
    this.#rules = settings.oidcRules.map(parseRule);
    await this.#setUp(settings);
    this.#tell();
  }

  async #setUp(settings: OidcValues): Promise<void> {
    const {clock, events} = this.#options;
    const ca = settings.oidcCaFile === undefined ? undefined : await readCaFile(settings.oidcCaFile);
    const before = this.#keys;
    const isSame = settings.oidcCaFile === this.#settings.oidcCaFile;
    this.#settings = settings;
    this.#keys = new Map(
      settings.oidcIssuers.map((issuer) => {
        const kept = isSame ? before.get(issuer) : undefined;
        return [issuer, kept ?? new IssuerKeys({issuer, ca, clock, events})];
      }),
    );
    for (const [issuer, keys] of this.#keys) if (before.get(issuer) !== keys) void keys.begin();
    for (const [issuer, keys] of before) if (this.#keys.get(issuer) !== keys) keys.close();
  }

  handles(token: string): boolean {
    return /^eyJ[\w-]+\.[\w-]+\.[\w-]*$/.test(token);
  }

  onChanged(listener: () => void): void {
    this.#listeners.push(listener);
  }

  async check(token: string): Promise<Verdict> {
    if (token.length > MOST_CHARACTERS) return WRONG;
    const jose = await import('jose');
    const issuer = issuerOf(jose, token);
    const keys = issuer === undefined ? undefined : this.#keys.get(issuer);
    if (issuer === undefined || keys === undefined) return WRONG;
    try {
      const audience = this.#audiences(issuer);
      const {payload, protectedHeader} = await jose.jwtVerify(token, keys.find, {
        issuer,
        audience,
        algorithms: ALGORITHMS,
        clockTolerance: TOLERANCE_MS / 1_000,
        requiredClaims: ['exp', 'sub'],
        currentDate: new Date(this.#wallNow()),
      });
      if (!this.#isForUs(payload, {issuer, typ: protectedHeader.typ})) return WRONG;
      return this.#admit(token, issuer, payload);
    } catch (error) {
      if (error instanceof TunlError && error.code === 'ISSUER_FAILED') return AWAY;
      if (error instanceof jose.errors.JWTExpired) return this.#expired(error, issuer);
      return WRONG;
    }
  }

  /** The client of the first issuer means another client at another issuer. */
  #audiences(issuer: string): string[] {
    const {oidcAudiences, oidcClient, oidcIssuers} = this.#settings;
    const isFirst = issuer === oidcIssuers[0];
    return [...oidcAudiences, ...(isFirst && oidcClient !== undefined ? [oidcClient] : [])];
  }

  /**
   * The client of the device flow takes ID tokens only: a token for access to another service, or about a logout, is no login.
   * A token for several audiences says which client it was issued to.
   */
  #isForUs(
    {aud, azp}: Jose.JWTPayload,
    {issuer, typ = 'JWT'}: {issuer: string; typ: string | undefined},
  ): boolean {
    const kind = typ.toLowerCase().replace(/^application\//, '');
    if (kind !== 'jwt' && kind !== 'at+jwt') return false;
    const audiences = Array.isArray(aud) ? aud : [aud];
    if (audiences.some((each) => each !== undefined && this.#settings.oidcAudiences.includes(each)))
      return true;
    if (kind !== 'jwt') return false;
    return azp === undefined ? audiences.length === 1 : this.#audiences(issuer).includes(String(azp));
  }

  #admit(token: string, issuer: string, claims: Jose.JWTPayload): Verdict {
    const expiresAt = Number(claims.exp) * 1_000;
    const isFirst = issuer === this.#settings.oidcIssuers[0];
    const proven: Proven = {issuer, isFirst, claims, expiresAt};
    const mapped = this.map(proven);
    if (mapped === undefined) return STRANGER;
    const principal = this.#principal(token, proven, mapped);
    this.#proven.set(principal, proven);
    this.#ends.add(Math.ceil((expiresAt + TOLERANCE_MS) / 1_000));
    this.#timer ??= this.#options.clock.after(LOOK_EVERY_MS, this.#look);
    return {ok: true, principal};
  }

  /** Owner and scopes by the rules as they are now. Undefined: no rule is about the identity. */
  map(identity: Identified): Mapped | undefined {
    const {oidcOwner, oidcIssuers} = this.#settings;
    if (!oidcIssuers.includes(identity.issuer)) return undefined;
    const isFirst = identity.issuer === oidcIssuers[0];
    return mapIdentity(this.#rules, {...identity, isFirst}, oidcOwner);
  }

  /** The identity behind a principal of this verifier. */
  identityOf(principal: Principal): Proven | undefined {
    return this.#proven.get(principal);
  }

  #principal(token: string, proven: Proven, {owner}: Mapped): Principal {
    const {expiresAt} = proven;
    let of: OidcValues | undefined;
    let rights: Rights = NO_RIGHTS;
    let isRevoked = false;
    const follow = () => {
      if (of === this.#settings) return;
      of = this.#settings;
      const mapped = this.map(proven);
      // The tunnels of a session stay with its owner.
      isRevoked = mapped === undefined || mapped.owner !== owner;
      rights = mapped === undefined ? NO_RIGHTS : rightsOf(mapped.scopes, mapped.allow);
    };
    const currentRights = () => {
      follow();
      return rights;
    };
    const endOf = () => {
      follow();
      if (isRevoked) return 'TOKEN_REVOKED';
      return this.#wallNow() >= expiresAt + TOLERANCE_MS ? 'TOKEN_EXPIRED' : undefined;
    };
    return {
      owner,
      keyId: undefined,
      tokenId: createHash('sha256').update(token).digest('hex').slice(0, 10),
      expiresAt,
      limits: {},
      get rights() {
        return currentRights();
      },
      get ended() {
        return endOf();
      },
    };
  }

  #expired({payload}: Jose.errors.JWTExpired, issuer: string): Refusal {
    const isFirst = issuer === this.#settings.oidcIssuers[0];
    const owner = this.map({issuer, isFirst, claims: payload})?.owner;
    return {...EXPIRED, ...(owner !== undefined && {of: {owner, tokenId: undefined}})};
  }

  readonly #look = (): void => {
    this.#timer = undefined;
    const now = this.#wallNow() / 1_000;
    const past = [...this.#ends].filter((end) => end <= now);
    for (const end of past) this.#ends.delete(end);
    if (past.length > 0) this.#tell();
    if (this.#ends.size > 0) this.#timer = this.#options.clock.after(LOOK_EVERY_MS, this.#look);
  };

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** The issuer that a token names, before anything is checked. */
function issuerOf(jose: typeof Jose, token: string): string | undefined {
  try {
    return jose.decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}

const EXPIRED: Refusal = {ok: false, code: 'TOKEN_EXPIRED', message: 'The token has expired.'};
const STRANGER: Refusal = {
  ok: false,
  code: 'NOT_ALLOWED',
  status: 403,
  message: 'No rule of this relay is about this identity.',
};
/** Not final for agents: they come back. */
const AWAY: Refusal = {
  ok: false,
  code: 'RELAY_BUSY',
  status: 503,
  message: 'The relay cannot reach the issuer of this token.',
  retryAfterMs: 5_000,
};

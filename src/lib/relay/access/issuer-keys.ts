// The public keys of an issuer of identities. They are fetched rarely, whatever strangers send, and kept while the issuer is
// away.

import type * as Jose from 'jose';
import {ask} from '../../carrier/ask.js';
import type {Clock} from '../../core/clock.js';
import {TunlError, toTunlError} from '../../core/errors.js';
import {TokenBuckets} from '../doors/token-buckets.js';
import type {RelayEvents} from '../events.js';

/** Keys older than this are fetched again when one is needed, ms. */
const FRESH_MS = 10 * 60_000;
/**
 * Attempts to get newer keys: a token can name any key, so strangers can cause them. A few at once, because a key can be replaced
 * right after an attempt, and then one every 30 s.
 */
const ATTEMPTS = {burst: 4, perSecond: 1 / 30};
/** Between two attempts without any keys, when nobody can log in, ms. */
const EAGER_COOLDOWN_MS = 5_000;
/** While the issuer is away its last keys count for this long, ms: one of them may have been withdrawn. */
const KEPT_MS = 24 * 3_600_000;
const FETCH_TIMEOUT_MS = 5_000;
const MOST_BYTES = 256 * 1024;
const MOST_KEYS = 100;

type GetKey = Jose.JWTVerifyGetKey;

interface Keys {
  readonly find: GetKey;
  readonly since: number;
}

export interface IssuerKeysOptions {
  issuer: string;
  /** PEM; trusted besides the system's authorities. */
  ca: string | undefined;
  clock: Clock;
  events: Pick<RelayEvents, 'emit'>;
}

export class IssuerKeys {
  readonly #options: IssuerKeysOptions;
  readonly #stop = new AbortController();
  #keys: Keys | undefined;
  #triedAt = Number.NEGATIVE_INFINITY;
  readonly #attempts: TokenBuckets;
  #fetching: Promise<void> | undefined;
  #isAway = false;

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
    this.#attempts = new TokenBuckets({...ATTEMPTS, clock: options.clock});
  }

  /** Fetches the keys before the first login. Never rejects. */
  async begin(): Promise<void> {
    await this.#fetch();
  }

  close(): void {
    this.#stop.abort();
  }

  get #current(): Keys | undefined {
    const keys = this.#keys;
    return keys !== undefined && this.#ageOf(keys) < KEPT_MS ? keys : undefined;
  }

  #ageOf({since}: Keys): number {
    return this.#options.clock.now() - since;
  }

  /** Finds the key that a token names. @throws an error of jose when there is none, TunlError ISSUER_FAILED without any keys */
  readonly find: GetKey = async (header, token) => {
    if (this.#current === undefined) await this.#fetch();
    const keys = this.#current;
    if (keys === undefined) throw new TunlError('ISSUER_FAILED');
    // The tokens of today do not wait for the keys of tomorrow.
    if (this.#ageOf(keys) > FRESH_MS) void this.#fetch();
    try {
      return await keys.find(header, token);
    } catch (error) {
      // The issuer may have new keys.
      await this.#fetch();
      const later = this.#current;
      if (later === undefined || later === keys) throw error;
      return await later.find(header, token);
    }
  };

  /** One attempt at a time, and not too often. Never rejects. */
  async #fetch(): Promise<void> {
    const {issuer, clock} = this.#options;
    const isDue =
      this.#current === undefined
        ? clock.now() - this.#triedAt >= EAGER_COOLDOWN_MS
        : this.#attempts.has(issuer);
    if (this.#fetching === undefined && isDue) {
      this.#triedAt = clock.now();
      this.#attempts.spend(issuer);
      this.#fetching = this.#fetchNow().finally(() => {
        this.#fetching = undefined;
      });
    }
    await this.#fetching;
  }

  async #fetchNow(): Promise<void> {
    const {issuer, clock, events} = this.#options;
    try {
      const found = await this.#get(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
      if (found.issuer !== issuer) throw wrong('names another issuer');
      const {jwks_uri: place} = found;
      if (typeof place !== 'string' || !URL.canParse(place) || new URL(place).protocol !== 'https:')
        throw wrong('names no https place of its keys');
      const {keys} = await this.#get(place);
      if (!Array.isArray(keys) || keys.length === 0 || keys.length > MOST_KEYS)
        throw wrong('has no list of keys');
      const {createLocalJWKSet} = await import('jose');
      this.#keys = {find: createLocalJWKSet({keys: keys as Jose.JWK[]}), since: clock.now()};
      if (this.#isAway) events.emit({type: 'issuer-back', issuer});
      this.#isAway = false;
    } catch (error) {
      // Told once for each time that it is away.
      if (!this.#isAway && !this.#stop.signal.aborted)
        events.emit({type: 'issuer-away', issuer, reason: toTunlError(error, 'ISSUER_FAILED').message});
      this.#isAway = true;
    }
  }

  async #get(url: string): Promise<Record<string, unknown>> {
    const {ca} = this.#options;
    const {signal} = this.#stop;
    const {status, text} = await ask({
      ...{url: new URL(url), kind: 'issuer', ca, signal},
      ...{timeoutMs: FETCH_TIMEOUT_MS, maxBytes: MOST_BYTES},
    });
    if (status !== 200) throw wrong(`answers ${status}`);
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw wrong('answers without JSON');
    }
    if (typeof value !== 'object' || value === null) throw wrong('answers without an object');
    return value as Record<string, unknown>;
  }
}

const wrong = (what: string) => new TunlError('ISSUER_FAILED', {reason: `The issuer ${what}.`});

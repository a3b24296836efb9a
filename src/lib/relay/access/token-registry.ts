// Verifies the tokens of the registry by the file in the state folder, which commands change while the relay runs.

import {isDeepStrictEqual} from 'node:util';
import type {Clock, Timer} from '../../core/clock.js';
import {ERRORS, toTunlError} from '../../core/errors.js';
import {timingSafeEqual} from '../../core/node-crypto.js';
import type {RelayEvents} from '../events.js';
import type {Refusal, Verdict, Verifier} from './access.js';
import {WRONG} from './access.js';
import type {OwnerLimits, Principal, TokenEnd} from './principal.js';
import {NO_RIGHTS, type Rights, rightsOf} from './rights.js';
import {TokenFile} from './token-file.js';
import type {TokenRecord} from './token-record.js';
import {hasChecksum, hashOfToken, tokenIdOf} from './token-text.js';
import {noteUse} from './use-times.js';

/** How often to look for changes of the file, and for tokens that have expired, ms. */
const LOOK_EVERY_MS = 1_000;
/** The least time between two looks for tokens that are not known yet, ms. */
const LOOK_AGAIN_MS = 20;
/** The time of the last use is written at most this often for each token, ms. */
const NOTE_USE_EVERY_MS = 60_000;
/** Compared when there is no record, so that the answer takes the same time. */
const NOTHING = Buffer.alloc(32);

export interface TokenRegistryOptions {
  stateDir: string;
  clock: Clock;
  events: Pick<RelayEvents, 'emit'>;
  /**
   * False: a file that cannot be used does not keep the relay from starting. Tokens are refused for a while until it can.
   * Default true.
   */
  mustStart?: boolean;
  /** Ms since 1970. */
  wallNow?: () => number;
}

/** Not final for agents: they come back. */
const BLIND: Refusal = {
  ok: false,
  code: 'RELAY_BUSY',
  message: 'The relay cannot check tokens now.',
  status: 503,
  retryAfterMs: 5_000,
};

/** A record, ready for checks. */
interface Token {
  readonly record: TokenRecord;
  readonly rights: Rights;
  readonly hash: Buffer;
  readonly expiresAt: number;
  readonly previous: {readonly hash: Buffer; readonly until: number} | undefined;
}

export class TokenRegistry implements Verifier {
  readonly #options: TokenRegistryOptions;
  readonly file: TokenFile;
  readonly #wallNow: () => number;
  readonly #listeners: (() => void)[] = [];
  readonly #usedAt = new Map<string, number>();
  #tokens: ReadonlyMap<string, Token> = new Map();
  #isNeeded = false;
  /** The file could not be read yet. */
  #isBlind = false;
  #stamp: string | undefined;
  /** Why the last read failed, if the reason can end without a change of the file: it is read at each look until then. */
  #failure: string | undefined;
  #lookedAt = 0;
  #lookedLast = Number.NEGATIVE_INFINITY;
  /** Looks happen one after the other. */
  #looking: Promise<void> = Promise.resolve();
  /** The look that has not begun yet. */
  #next: Promise<void> | undefined;
  #timer: Timer | undefined;
  #isOver = false;

  constructor(options: TokenRegistryOptions) {
    this.#options = options;
    this.file = new TokenFile(options.stateDir);
    this.#wallNow = options.wallNow ?? Date.now;
  }

  /** Once there was a file of tokens, the relay stays closed for agents without one. */
  get isNeeded(): boolean {
    return this.#isNeeded;
  }

  get size(): number {
    return this.#tokens.size;
  }

  /** As of the last look at the file. */
  recordOf(id: string): TokenRecord | undefined {
    return this.#tokens.get(id)?.record;
  }

  /** @throws TunlError TOKENS_UNREADABLE, STATE_DIR: a relay does not start with a part of its tokens. */
  async start(): Promise<void> {
    this.#lookedAt = this.#wallNow();
    this.#stamp = await this.file.stamp();
    try {
      this.#take(await this.file.read());
    } catch (error) {
      if (this.#options.mustStart ?? true) throw error;
      this.#failure = passingReason(error);
      this.#isNeeded = true;
      this.#isBlind = true;
    }
    this.#lookLater();
  }

  close(): void {
    this.#isOver = true;
    this.#timer?.cancel();
  }

  handles(token: string): boolean {
    return tokenIdOf(token) !== undefined;
  }

  idOf(token: string): string | undefined {
    return tokenIdOf(token);
  }

  onChanged(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /**
   * A token that is not right may have been made a moment ago, so the file is looked at first. The steps are the same for
   * tokens that are unknown, wrong, or without a valid checksum.
   */
  check(text: string): Verdict | Promise<Verdict> {
    const verdict = this.#verdict(text);
    return verdict === WRONG ? this.#nextLook().then(() => this.#verdict(text)) : verdict;
  }

  #verdict(text: string): Verdict {
    if (this.#isBlind) return BLIND;
    const id = tokenIdOf(text) ?? '';
    const token = this.#tokens.get(id);
    const hash = hashOfToken(text);
    const isWhole = hasChecksum(text);
    const isCurrent = timingSafeEqual(hash, token?.hash ?? NOTHING);
    const isPrevious = timingSafeEqual(hash, token?.previous?.hash ?? NOTHING);
    if (token === undefined || !isWhole || !(isCurrent || isPrevious)) return WRONG;
    const key = isCurrent ? token.hash : (token.previous?.hash ?? NOTHING);
    const ended = this.#endOf(id, key);
    if (ended !== undefined) return refusal(ended, token.record);
    this.#noteUse(id);
    return {ok: true, principal: this.#principal(token.record, key)};
  }

  /** @param key the hash of the token that was shown: another one may have replaced it since. */
  #principal({id, owner}: TokenRecord, key: Buffer): Principal {
    const current = () => this.#tokens.get(id);
    const endOf = () => this.#endOf(id, key);
    return {
      owner,
      keyId: undefined,
      tokenId: id,
      get rights(): Rights {
        return current()?.rights ?? NO_RIGHTS;
      },
      get limits(): OwnerLimits {
        return current()?.record.limits ?? {};
      },
      get expiresAt(): number | undefined {
        const at = current()?.expiresAt;
        return at === Number.POSITIVE_INFINITY ? undefined : at;
      },
      get ended(): TokenEnd | undefined {
        return endOf();
      },
    };
  }

  #endOf(id: string, key: Buffer): TokenEnd | undefined {
    const token = this.#tokens.get(id);
    const now = this.#wallNow();
    if (token === undefined || token.record.revokedAt !== undefined) return 'TOKEN_REVOKED';
    if (now >= token.expiresAt) return 'TOKEN_EXPIRED';
    if (token.hash.equals(key)) return undefined;
    const {previous} = token;
    return previous?.hash.equals(key) && now < previous.until ? undefined : 'TOKEN_REVOKED';
  }

  // ── Changes of the file ──

  #lookLater(): void {
    if (this.#isOver) return;
    this.#timer = this.#options.clock.after(LOOK_EVERY_MS, () => {
      void this.look().finally(() => this.#lookLater());
    });
  }

  /** Reads the file if it has changed. A file that cannot be used changes nothing. Never rejects. */
  look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#look());
    return this.#looking;
  }

  /** A look that begins after this call. Many callers share one. */
  #nextLook(): Promise<void> {
    const {clock} = this.#options;
    this.#next ??= new Promise((resolve) => {
      const waitMs = Math.max(0, this.#lookedLast + LOOK_AGAIN_MS - clock.now());
      clock.after(waitMs, () => {
        this.#next = undefined;
        this.#lookedLast = clock.now();
        void this.look().then(resolve);
      });
    });
    return this.#next;
  }

  async #look(): Promise<void> {
    const before = this.#lookedAt;
    this.#lookedAt = this.#wallNow();
    const hasChanged = await this.#readChanges();
    if (this.#isOver) return;
    if (hasChanged || this.#someEndedSince(before)) for (const listener of this.#listeners) listener();
  }

  async #readChanges(): Promise<boolean> {
    const {events} = this.#options;
    const stamp = await this.file.stamp();
    const isSame = stamp === this.#stamp;
    const told = isSame ? this.#failure : undefined;
    if (isSame && told === undefined) return false;
    this.#stamp = stamp;
    this.#failure = undefined;
    try {
      const records = await this.file.read();
      if (records === undefined && this.#isNeeded) {
        events.emit({type: 'tokens-unreadable', path: this.file.path, reason: 'The file is gone.'});
        return false;
      }
      this.#take(records);
      events.emit({type: 'tokens-read', path: this.file.path, tokens: this.#tokens.size});
      return true;
    } catch (error) {
      const reason = toTunlError(error).message;
      this.#failure = passingReason(error);
      if (reason !== told) events.emit({type: 'tokens-unreadable', path: this.file.path, reason});
      return false;
    }
  }

  #take(records: readonly TokenRecord[] | undefined): void {
    if (records === undefined) return;
    this.#isNeeded = true;
    this.#isBlind = false;
    const before = this.#tokens;
    this.#tokens = new Map(records.map((record) => [record.id, tokenOf(record, before.get(record.id))]));
    for (const id of this.#usedAt.keys()) if (!this.#tokens.has(id)) this.#usedAt.delete(id);
  }

  #someEndedSince(before: number): boolean {
    const isPast = (time: number) => time > before && time <= this.#lookedAt;
    return [...this.#tokens.values()].some(
      ({expiresAt, previous}) => isPast(expiresAt) || (previous !== undefined && isPast(previous.until)),
    );
  }

  // ── The time of the last use ──

  #noteUse(id: string): void {
    const now = this.#wallNow();
    if (now - (this.#usedAt.get(id) ?? 0) < NOTE_USE_EVERY_MS) return;
    this.#usedAt.set(id, now);
    void noteUse(this.file.path, id, now).catch(() => {});
  }
}

/**
 * The reason of a failure that can end while the file stays the same: the mode of a folder, or too few descriptors. Undefined
 * for a wrong text: it may be incomplete while somebody edits it by hand, and then its stamp changes again.
 */
function passingReason(error: unknown): string | undefined {
  const {code, message} = toTunlError(error);
  return code === 'TOKENS_UNREADABLE' ? undefined : message;
}

/** @param before the same token at the last read. Rights that have not changed stay the same object: nobody checks them again. */
function tokenOf(record: TokenRecord, before: Token | undefined): Token {
  const {hash, scopes, allow, expiresAt, previous} = record;
  const kept = before && isDeepStrictEqual([before.record.scopes, before.record.allow], [scopes, allow]);
  return {
    record,
    rights: kept ? before.rights : rightsOf(scopes, allow),
    hash: Buffer.from(hash, 'base64url'),
    expiresAt: expiresAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(expiresAt),
    previous: previous && {hash: Buffer.from(previous.hash, 'base64url'), until: Date.parse(previous.until)},
  };
}

function refusal(code: TokenEnd, {owner, id}: TokenRecord): Refusal {
  return {ok: false, code, message: ERRORS[code].sentence, of: {owner, tokenId: id}};
}

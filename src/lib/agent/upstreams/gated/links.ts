// The links to a private tunnel. Tokens are kept as hashes; a link can expire, be used once, and be revoked.

import {TunlError} from '../../../core/errors.js';
import {createHash, randomBytes, timingSafeEqual} from '../../../core/node-crypto.js';
import type {Stay} from './gate.js';

/** No 0, o, 1, l: people read tokens aloud and type them. */
const ALPHABET = 'abcdefghijkmnpqrstuvwxyz23456789';
const ID_CHARS = 6;
/** 130 random bits. */
const SECRET_CHARS = 26;
export const TOKEN = new RegExp(`^[${ALPHABET}]{${ID_CHARS + SECRET_CHARS}}$`);

/** Links of one tunnel. Revoked ones are forgotten, so a script may make new ones for ever. */
const MAX_LINKS = 1_000;
/** How often the time of day is looked at: timers stand still while the machine sleeps. */
const LOOK_EVERY_MS = 60_000;

/** The name of a visitor in `Tunl-Visitor`: safe in a header, in a log and in a shell. */
const VISITOR_NAME = /^[\w.@+-]{1,64}$/;

export interface LinkOptions {
  /** The link ends after this time. Default: with the tunnel. */
  expiresMs?: number | undefined;
  /** The first visitor who comes with it gets in, and nobody else. Default false. */
  once?: boolean | undefined;
  /** The name of its visitors for the upstream. Default: the link's id. */
  visitor?: string | undefined;
}

/** A link without its token. */
export interface LinkFacts {
  id: string;
  visitor: string;
  /** ISO 8601. */
  createdAt: string;
  /** ISO 8601; absent when it ends with the tunnel. */
  expiresAt?: string;
  /** Absent: it can be used again and again. */
  once?: 'unused' | 'used';
}

export class Link implements Stay {
  readonly id: string;
  readonly visitor: string;
  readonly createdAt = Date.now();
  readonly expiresAt: number | undefined;
  readonly once: boolean;
  used = false;
  readonly #hash: Buffer;
  readonly #listeners = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(token: string, {expiresMs, once = false, visitor}: LinkOptions) {
    this.id = token.slice(0, ID_CHARS);
    this.visitor = visitor ?? this.id;
    this.once = once;
    this.#hash = hashOf(token);
    this.expiresAt = expiresMs === undefined ? undefined : this.createdAt + expiresMs;
  }

  /** Calls `expired` at the end of its time. */
  watch(expired: () => void): void {
    if (this.expiresAt === undefined) return;
    const leftMs = Math.min(LOOK_EVERY_MS, Math.max(0, this.expiresAt - Date.now()));
    this.#timer = setTimeout(() => (this.isOver ? expired() : this.watch(expired)), leftMs).unref();
  }

  /** The clock may jump, so it is compared at each use as well. */
  get isOver(): boolean {
    return this.#isOver || (this.expiresAt !== undefined && Date.now() >= this.expiresAt);
  }

  matches(token: string): boolean {
    return timingSafeEqual(hashOf(token), this.#hash);
  }

  onOver(listener: () => void): () => void {
    if (this.#isOver) listener();
    else this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    for (const listener of [...this.#listeners]) listener();
    this.#listeners.clear();
  }

  /** For a cookie. Another link with the same id, later, has another mark. */
  get mark(): string {
    return `${this.id}.${this.#hash.toString('base64url', 0, 9)}`;
  }

  get facts(): LinkFacts {
    return {
      id: this.id,
      visitor: this.visitor,
      createdAt: new Date(this.createdAt).toISOString(),
      ...(this.expiresAt !== undefined && {expiresAt: new Date(this.expiresAt).toISOString()}),
      ...(this.once && {once: this.used ? 'used' : 'unused'}),
    };
  }
}

export class Links {
  readonly #links = new Map<string, Link>();

  /** The token is returned and not kept. @throws TunlError OPTION_INVALID, LINKS_TOO_MANY */
  add(options: LinkOptions = {}): {link: Link; token: string} {
    if (options.visitor !== undefined && !VISITOR_NAME.test(options.visitor))
      throw new TunlError('OPTION_INVALID', {
        reason: 'The visitor’s name is not valid.',
        next: 'Use 1 to 64 letters, digits and the characters . _ @ + -.',
      });
    if (this.#links.size >= MAX_LINKS)
      throw new TunlError('LINKS_TOO_MANY', {reason: `The tunnel has ${MAX_LINKS} links.`});
    let token = randomToken();
    // Ids are short.
    while (this.#links.has(token.slice(0, ID_CHARS))) token = randomToken();
    const link = new Link(token, options);
    this.#links.set(link.id, link);
    link.watch(() => this.#remove(link));
    return {link, token};
  }

  /** The link of a token that is right and has not ended. */
  find(token: string): Link | undefined {
    if (!TOKEN.test(token)) return undefined;
    const link = this.get(token.slice(0, ID_CHARS));
    return link?.matches(token) ? link : undefined;
  }

  /** A link that has not ended. */
  get(id: string): Link | undefined {
    const link = this.#links.get(id);
    return link?.isOver ? undefined : link;
  }

  /** A link that has not ended. @param mark as in `Link` */
  marked(mark: string): Link | undefined {
    const link = this.get(mark.slice(0, ID_CHARS));
    return link?.mark === mark ? link : undefined;
  }

  list(): LinkFacts[] {
    return [...this.#links.values()].filter(({isOver}) => !isOver).map(({facts}) => facts);
  }

  /** Its visitors are cut off before this returns. @throws TunlError LINK_UNKNOWN */
  revoke(id: string): LinkFacts {
    const link = this.get(id);
    if (link === undefined) throw new TunlError('LINK_UNKNOWN');
    const {facts} = link;
    this.#remove(link);
    return facts;
  }

  close(): void {
    for (const link of [...this.#links.values()]) this.#remove(link);
  }

  #remove(link: Link): void {
    this.#links.delete(link.id);
    link.end();
  }
}

/** Two hashes have one length, so their comparison tells nothing about the token. */
export function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function randomToken(): string {
  return Array.from(randomBytes(ID_CHARS + SECRET_CHARS), (byte) => ALPHABET[byte % ALPHABET.length]).join(
    '',
  );
}

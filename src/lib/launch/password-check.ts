// Checks whether a request has the password: HTTP Basic credentials, or the cookie that the answer to them sets.
//
// All visitors of a tunnel come from one address, so wrong passwords are counted together. Someone who tries many of
// them keeps new visitors out for a while; a browser that is already logged in has the cookie and is not counted.

import {createHash, randomBytes, timingSafeEqual} from 'node:crypto';
import type {IncomingHttpHeaders} from 'node:http';
import {systemClock} from '../core/clock.js';

export interface PasswordCheckOptions {
  readonly user: string;
  readonly password: string;
  /** Shown by browsers that ask for the password. */
  readonly realm: string;
  /** Milliseconds of a clock that does not go back. */
  readonly now?: () => number;
}

/** `cookie` and `password` are allowed. `none`: no credentials. `many`: too many wrong passwords lately. */
export type Verdict = 'cookie' | 'password' | 'none' | 'wrong' | 'many';

export interface Refusal {
  readonly status: number;
  readonly reason: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

/** This many wrong passwords are allowed at once, then one more in each interval. */
const WRONG_AT_ONCE = 10;
const WRONG_EVERY_MS = 2_000;
const COOKIE = '__Host-tunl';

export class PasswordCheck {
  /** The value of `set-cookie`. A browser sends it back only over TLS and only to this host. */
  readonly cookie: string;
  readonly #expected: Buffer;
  readonly #cookieValue: Buffer;
  readonly #challenge: string;
  readonly #now: () => number;
  #left = WRONG_AT_ONCE;
  #countedAt: number;

  constructor({user, password, realm, now = systemClock.now}: PasswordCheckOptions) {
    const value = randomBytes(32).toString('hex');
    this.cookie = `${COOKIE}=${value}; Path=/; Secure; HttpOnly; SameSite=Strict`;
    this.#cookieValue = digest(value);
    this.#expected = digest(basic(user, password));
    this.#challenge = `Basic realm="${realm}", charset="UTF-8"`;
    this.#now = now;
    this.#countedAt = now();
  }

  judge({cookie, authorization}: IncomingHttpHeaders): Verdict {
    // Digests have one length, so the comparison reveals nothing, not even the length.
    if (cookiesIn(cookie).some((value) => timingSafeEqual(digest(value), this.#cookieValue))) return 'cookie';
    if (authorization === undefined) return 'none';
    this.#count();
    // Before the comparison: a guess that comes too early gets no information, even if it is right.
    if (this.#left < 1) return 'many';
    if (timingSafeEqual(digest(authorization), this.#expected)) return 'password';
    this.#left -= 1;
    return 'wrong';
  }

  refusal(verdict: Verdict): Refusal | undefined {
    if (verdict === 'cookie' || verdict === 'password') return undefined;
    if (verdict === 'many') {
      return {
        status: 429,
        reason: 'Too Many Requests',
        headers: {'retry-after': String(WRONG_EVERY_MS / 1_000)},
        text: 'Too many wrong passwords. Try again in a while.\n',
      };
    }
    return {
      status: 401,
      reason: 'Unauthorized',
      headers: {'www-authenticate': this.#challenge},
      text: 'A password is needed.\n',
    };
  }

  #count(): void {
    const now = this.#now();
    this.#left = Math.min(WRONG_AT_ONCE, this.#left + (now - this.#countedAt) / WRONG_EVERY_MS);
    this.#countedAt = now;
  }
}

export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

/** The head of a refusal, for a socket with an upgrade request. */
export function refusalHead({status, reason, headers}: Omit<Refusal, 'text'>): string {
  const lines = Object.entries({...headers, connection: 'close', 'content-length': '0'}).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return `HTTP/1.1 ${status} ${reason}\r\n${lines.join('')}\r\n`;
}

function cookiesIn(header: string | undefined): string[] {
  return (header ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${COOKIE}=`))
    .map((pair) => pair.slice(COOKIE.length + 1));
}

const digest = (text: string) => createHash('sha256').update(text).digest();

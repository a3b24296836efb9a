// The cookies of a gate: host-only, signed, for one tunnel and one link, with an end of their own.

import {createHash, createHmac, randomBytes, timingSafeEqual} from '../../../core/node-crypto.js';
import {cookiesOf, type HeaderList, withoutCookies} from './headers.js';

/** All gates' cookies begin so. `__Host-`: only over TLS, only for this host, for all paths. */
const PREFIX = '__Host-tunl-';
/** The longest life of a cookie; then the link must be opened again. */
const LONGEST_S = 7 * 86_400;
/** Browsers send at most some dozens; a visitor's own programs must not make this slow. */
const MAX_TRIED = 8;

export class VisitorCookies {
  /** New at each start: cookies of an earlier run are worth nothing. */
  readonly #key = randomBytes(32);
  readonly #use: string;
  readonly #prefix: string;
  #name: string;

  /**
   * @param use the gate: its cookies are no cookies of another gate.
   * @param prefix of one that is no gate, whose cookies gates let through
   */
  constructor(use: string, prefix = PREFIX) {
    this.#use = use;
    this.#prefix = prefix;
    this.#name = `${prefix}${use}`;
  }

  /**
   * Hosts have one jar for all their ports, so tunnels at one host (`localhost`) need different names. A tunnel that gets its
   * host and port again replaces its cookie.
   */
  belongTo(tunnel: string): void {
    const tag = createHash('sha256').update(tunnel).digest('hex').slice(0, 8);
    this.#name = `${this.#prefix}${this.#use}-${tag}`;
  }

  /**
   * The value of `Set-Cookie`.
   *
   * @param subject what the cookie stands for: letters, digits, and characters that need no quotes in a cookie
   * @param expiresAt of the right behind it, ms since 1970
   */
  make(subject: string, expiresAt: number | undefined): string {
    const now = Date.now();
    const lastS = Math.min(
      LONGEST_S,
      expiresAt === undefined ? LONGEST_S : Math.ceil((expiresAt - now) / 1000),
    );
    const said = `${Buffer.from(subject).toString('base64url')}.${Math.floor(now / 1000) + lastS}`;
    const value = `${said}.${this.#sign(said)}`;
    return `${this.#name}=${value}; Path=/; Max-Age=${lastS}; Secure; HttpOnly; SameSite=Lax`;
  }

  /** The subjects of the cookies that this gate has made and that have not expired. */
  read(headers: HeaderList): string[] {
    return cookiesOf(headers)
      .filter(({name}) => name === this.#name)
      .slice(0, MAX_TRIED)
      .flatMap(({value}) => this.#verify(value) ?? []);
  }

  #verify(value: string): string | undefined {
    const [subject = '', expires = '', signature = '', ...more] = value.split('.');
    if (more.length > 0 || !/^\d{1,12}$/.test(expires)) return undefined;
    const expected = Buffer.from(this.#sign(`${subject}.${expires}`));
    const given = Buffer.from(signature);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
    return Number(expires) * 1000 > Date.now() ? Buffer.from(subject, 'base64url').toString() : undefined;
  }

  #sign(said: string): string {
    return createHmac('sha256', this.#key).update(`${this.#name}\n${said}`).digest('base64url');
  }
}

/** No upstream sees cookies of a gate: at one host they may belong to other tunnels. */
export function withoutGateCookies(headers: HeaderList): HeaderList {
  return withoutCookies(headers, (name) => name.startsWith(PREFIX));
}

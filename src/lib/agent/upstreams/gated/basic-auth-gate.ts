// `--basic-auth`: a user name and a password, as browsers ask for it. A browser that gave them gets a cookie, because not all
// browsers send the password with a WebSocket.

import {createHmac, randomBytes, timingSafeEqual} from '../../../core/node-crypto.js';
import {refusal} from './answers.js';
import type {Decision, Gate, GateAddress, GateRequest} from './gate.js';
import {GuessLimit} from './guess-limit.js';
import {valuesOf, without} from './headers.js';
import {Password} from './password.js';
import {VisitorCookies} from './visitor-cookies.js';

const RETRY_S = 5;

export class BasicAuthGate implements Gate {
  readonly #user: string;
  readonly #password: Password;
  readonly #cookies = new VisitorCookies('basic');
  readonly #guesses = new GuessLimit();
  readonly #key = randomBytes(32);
  /** The mark of the header that was right, so that only a visitor's first request costs a check. */
  #right: Buffer | undefined;

  constructor(user: string, password: string) {
    this.#user = user;
    this.#password = new Password(password);
  }

  opened({place}: GateAddress): void {
    this.#cookies.belongTo(place);
  }

  decide(request: GateRequest): Decision | Promise<Decision> {
    if (this.#cookies.read(request.headers).includes(this.#user)) return this.#pass(request);
    const [given, ...more] = valuesOf(request.headers, 'authorization');
    if (given === undefined || more.length > 0) return refuse(request, 'none');
    if (this.#right !== undefined && timingSafeEqual(this.#markOf(given), this.#right))
      return this.#pass(request, this.#cookiesFor(request));
    return this.#check(request, given);
  }

  async #check(request: GateRequest, given: string): Promise<Decision> {
    const login = readBasic(given);
    if (login === undefined) return refuse(request, 'none');
    const giveBack = this.#guesses.take(request.visitor?.address ?? '');
    if (giveBack === undefined) return refuse(request, 'many');
    // The password is checked for a wrong name as well, so that both take the same time.
    const matches = await this.#password.matches(login.password);
    if (matches === undefined) {
      giveBack();
      return refuse(request, 'many');
    }
    if (!matches || login.user !== this.#user) return refuse(request, 'wrong');
    giveBack();
    this.#right = this.#markOf(given);
    return this.#pass(request, this.#cookiesFor(request));
  }

  #pass({headers}: GateRequest, setCookies: readonly string[] = []): Decision {
    const isOwn = (name: string, value: string) =>
      name === 'authorization' && readBasic(value)?.user === this.#user;
    return {
      pass: {
        headers: without(headers, isOwn),
        visitorName: this.#user,
        ...(setCookies.length > 0 && {setCookies}),
      },
    };
  }

  #cookiesFor({isNavigation}: GateRequest): string[] {
    return isNavigation ? [this.#cookies.make(this.#user, undefined)] : [];
  }

  #markOf(header: string): Buffer {
    return createHmac('sha256', this.#key).update(header).digest();
  }
}

function readBasic(header: string): {user: string; password: string} | undefined {
  const [, encoded] = /^basic +([a-z0-9+/_=-]+)$/i.exec(header.trim()) ?? [];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString();
  const at = text.indexOf(':');
  return at < 0 ? undefined : {user: text.slice(0, at), password: text.slice(at + 1)};
}

function refuse(request: GateRequest, why: 'none' | 'wrong' | 'many'): Decision {
  if (why === 'many') {
    return {
      answer: refusal(
        {
          status: 429,
          code: 'TOO_MANY_GUESSES',
          title: 'Too many wrong passwords',
          message: 'Try again in a while.',
          headers: {'retry-after': String(RETRY_S)},
        },
        request,
      ),
    };
  }
  return {
    answer: refusal(
      {
        status: 401,
        code: why === 'none' ? 'PASSWORD_NEEDED' : 'PASSWORD_WRONG',
        title: why === 'none' ? 'This page needs a password' : 'The name or the password is wrong',
        message: 'Load the page again to enter a name and a password.',
        headers: {'www-authenticate': 'Basic realm="tunl", charset="UTF-8"'},
      },
      request,
    ),
  };
}

// `--oidc`: visitors sign in at an issuer of identities. A browser is sent there and comes back; it gets a cookie when its
// person is among the allowed ones. Programs are never redirected.

import {type Claims, type Condition, isMet, textsOf} from '../../../core/claims.js';
import {TunlError} from '../../../core/errors.js';
import {createHash, timingSafeEqual} from '../../../core/node-crypto.js';
import {type Refusal, refusal} from './answers.js';
import type {Decision, Gate, GateAddress, GateRequest} from './gate.js';
import {GuessLimit} from './guess-limit.js';
import {type Attempt, reasonOf, type SignInClient, SignInIssuer} from './sign-in-issuer.js';
import {VisitorCookies} from './visitor-cookies.js';

/** Where the issuer sends browsers back to: the client at the issuer has to list it. */
export const SIGNED_IN_PATH = '/.well-known/tunl/signed-in';

/** How long a person may take at the issuer, ms. */
const ATTEMPT_MS = 10 * 60_000;
/** Then the visitor is sent to the issuer again, ms. */
const SESSION_MS = 12 * 3_600_000;
/** A longer address of the page is not kept: a cookie has 4 KiB. */
const MAX_PATH = 1_500;
const VISITOR_NAME = /^[\w.@+-]{1,64}$/;

export interface SignInOptions extends SignInClient {
  /** `ana@example.com`, `*@example.com`, `groups=dev`: one has to match. */
  allow: readonly string[];
  onFailed: (reason: string) => void;
}

/** The content of the cookie during the sign-in. */
interface Pending extends Attempt {
  readonly path: string;
}

export class SignInGate implements Gate {
  readonly #issuer: SignInIssuer;
  readonly #allow: readonly Condition[];
  readonly #onFailed: SignInOptions['onFailed'];
  readonly #cookies = new VisitorCookies('oidc');
  readonly #pending = new VisitorCookies('signin');
  readonly #guesses = new GuessLimit();

  /** @throws TunlError OPTION_INVALID */
  constructor({allow, onFailed, ...client}: SignInOptions) {
    this.#issuer = new SignInIssuer(client);
    this.#allow = allow.map(conditionOf);
    this.#onFailed = onFailed;
  }

  opened({place}: GateAddress): void {
    this.#cookies.belongTo(place);
    this.#pending.belongTo(place);
  }

  decide(request: GateRequest): Decision | Promise<Decision> {
    const [path = '', query = ''] = split(request.path);
    if (path === SIGNED_IN_PATH) return this.#comeBack(request, new URLSearchParams(query));
    const [name] = this.#cookies.read(request.headers);
    if (name !== undefined) return {pass: {visitorName: name}};
    if (request.isNavigation && request.method === 'GET') return this.#sendAway(request);
    const message = 'Open it in a browser to sign in.';
    return refuse(request, {status: 401, code: 'SIGN_IN_NEEDED', title: 'You have to sign in', message});
  }

  async #sendAway(request: GateRequest): Promise<Decision> {
    try {
      const {url, attempt} = await this.#issuer.begin(redirectUri(request));
      const path = request.path.length > MAX_PATH ? '/' : request.path;
      const cookie = this.#pending.make(JSON.stringify({...attempt, path}), Date.now() + ATTEMPT_MS);
      return redirect(url, cookie);
    } catch (error) {
      return this.#away(request, error);
    }
  }

  async #comeBack(request: GateRequest, answer: URLSearchParams): Promise<Decision> {
    const pending = this.#pending.read(request.headers).map(parsePending);
    const mine = pending.find((each) => each !== undefined && isSame(each.state, answer.get('state') ?? ''));
    // Without its cookie somebody else's answer could sign this browser in as somebody else.
    if (mine === undefined || request.method !== 'GET') return notMine(request);
    const giveBack = this.#guesses.take(request.visitor?.address ?? '');
    if (giveBack === undefined) return busy(request);
    let claims: Claims;
    try {
      claims = await this.#issuer.finish(answer, mine, redirectUri(request));
    } catch (error) {
      return this.#away(request, error);
    }
    giveBack();
    if (!this.#allow.some((condition) => isMet(condition, claims))) return stranger(request);
    const cookie = this.#cookies.make(nameOf(claims), Date.now() + SESSION_MS);
    return redirect(`https://${request.authority}${mine.path}`, cookie);
  }

  #away(request: GateRequest, error: unknown): Decision {
    const reason = reasonOf(error);
    this.#onFailed(reason);
    const message = `The sign-in at ${this.#issuer.host} did not succeed. Open the page again.`;
    return refuse(request, {
      status: 502,
      code: 'SIGN_IN_FAILED',
      title: 'You could not be signed in',
      message,
    });
  }
}

/** @throws TunlError OPTION_INVALID */
export function conditionOf(written: string): Condition {
  const at = written.indexOf('=');
  if (at > 0) return {claim: written.slice(0, at), pattern: written.slice(at + 1)};
  if (at < 0 && /^[^\s@]+@[^\s@]+$/.test(written)) return {claim: 'email', pattern: written};
  throw new TunlError('OPTION_INVALID', {
    reason: `${JSON.stringify(written.slice(0, 80))} says of nobody who may visit.`,
    next: 'Write an address, like ana@example.com or *@example.com, or CLAIM=VALUE, like groups=dev.',
  });
}

/** The name for the upstream: a verified address, or a hash of who it is at the issuer. */
function nameOf(claims: Claims): string {
  const [email] = textsOf(claims, 'email');
  if (email !== undefined && VISITOR_NAME.test(email)) return email;
  const sub = String(claims.sub);
  return VISITOR_NAME.test(sub) ? sub : `id-${createHash('sha256').update(sub).digest('hex').slice(0, 20)}`;
}

const redirectUri = ({authority}: GateRequest) => `https://${authority}${SIGNED_IN_PATH}`;

function redirect(location: string, cookie: string): Decision {
  return {
    answer: {
      status: 303,
      headers: {
        location,
        'set-cookie': cookie,
        'cache-control': 'no-store',
        'referrer-policy': 'no-referrer',
      },
    },
  };
}

function split(path: string): [path: string, query: string] {
  const at = path.indexOf('?');
  return at < 0 ? [path, ''] : [path.slice(0, at), path.slice(at + 1)];
}

/** The cookie is signed, so its content is what this gate wrote. */
function parsePending(text: string): Pending | undefined {
  try {
    return JSON.parse(text) as Pending;
  } catch {
    return undefined;
  }
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [one, other].map((text) => createHash('sha256').update(text).digest());
  return a !== undefined && b !== undefined && timingSafeEqual(a, b);
}

const refuse = (request: GateRequest, about: Refusal): Decision => ({answer: refusal(about, request)});

const notMine = (request: GateRequest) =>
  refuse(request, {
    status: 400,
    code: 'SIGN_IN_FAILED',
    title: 'This sign-in did not begin here',
    message:
      'It took too long, was begun in another window, or the browser keeps no cookies. Open the page again.',
  });

const busy = (request: GateRequest) =>
  refuse(request, {
    status: 429,
    code: 'TOO_MANY_GUESSES',
    title: 'Too many sign-ins failed',
    message: 'Try again in a while.',
    headers: {'retry-after': '5'},
  });

const stranger = (request: GateRequest) =>
  refuse(request, {
    status: 403,
    code: 'SIGN_IN_DENIED',
    title: 'You may not visit this page',
    message: 'You are signed in, but whoever shares this page has not allowed you.',
  });

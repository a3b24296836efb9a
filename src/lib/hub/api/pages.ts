// The web page of a hub, and its sign-in. A page that has signed in has a cookie; the token itself stays nowhere in the browser.

import {readFile} from 'node:fs/promises';
import type {IncomingMessage, ServerResponse} from 'node:http';
import * as v from 'valibot';
import {randomBytes} from '../../core/node-crypto.js';
import {packageRoot} from '../../core/package-root.js';
import type {Principal} from '../../relay/access/principal.js';
import {rightsOf} from '../../relay/access/rights.js';
import {readBody} from './body.js';
import type {Caller, Callers} from './callers.js';
import {type IssuerSignIn, SIGNED_IN_PATH, type SignInResult} from './issuer-sign-in.js';
import {HttpProblem} from './problem.js';
import type {HubPages} from './server.js';

/** Everything that the page needs comes from here; no other page may contain it. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const FILES: Readonly<Record<string, readonly [file: string, type: string]>> = {
  '/': ['hub-page/index.html', 'text/html; charset=utf-8'],
  '/base.css': ['pages/base.css', 'text/css; charset=utf-8'],
  '/page.css': ['hub-page/page.css', 'text/css; charset=utf-8'],
  '/page.js': ['hub-page/page.js', 'text/javascript; charset=utf-8'],
};

/** The agent's gates remove cookies that begin with `__Host-tunl-`: those are their own. */
const COOKIE = '__Host-hub';
const SIGNED_IN_MS = 12 * 3_600_000;
const MOST_SIGNED_IN = 2_000;
const MOST_OF_ONE_USER = 20;

const SIGN_IN = v.strictObject({token: v.pipe(v.string(), v.trim(), v.maxLength(256))});

interface SignedIn {
  readonly principal: Principal;
  readonly until: number;
  /** Aborts at the end. */
  readonly end: AbortController;
}

export interface PagesOptions {
  readonly callers: Callers;
  /** The address of the hub. */
  readonly url: () => string;
  readonly addressOf: (req: IncomingMessage) => string;
  /** Undefined: people sign in with tokens alone. */
  readonly issuer?: IssuerSignIn | undefined;
  /** ms since 1970 */
  readonly wallNow?: () => number;
}

export class Pages implements HubPages {
  readonly #options: PagesOptions;
  readonly #wallNow: () => number;
  /** By the value of the cookie; the oldest first. They end with the hub. */
  readonly #signedIn = new Map<string, SignedIn>();

  constructor(options: PagesOptions) {
    this.#options = options;
    this.#wallNow = options.wallNow ?? Date.now;
  }

  async answer(req: IncomingMessage, res: ServerResponse, path: string): Promise<boolean> {
    const isGet = req.method === 'GET' || req.method === 'HEAD';
    const file = isGet && Object.hasOwn(FILES, path) ? FILES[path] : undefined;
    if (file !== undefined) {
      const [name, type] = file;
      const body = await readFile(new URL(`assets/${name}`, packageRoot));
      res.setHeader('Content-Security-Policy', CONTENT_SECURITY_POLICY);
      res.writeHead(200, {'Content-Type': type, 'Content-Length': body.length}).end(body);
      return true;
    }
    if (isGet && path === '/favicon.ico') {
      res.writeHead(204).end();
      return true;
    }
    if (isGet && (await this.#answerIssuer(req, res, path))) return true;
    if (req.method !== 'POST') return false;
    if (path === '/sign-in') await this.#signIn(req, res);
    else if (path === '/sign-out') this.#signOut(req, res);
    else return false;
    return true;
  }

  /** @throws HttpProblem 403 when another page sends the request; TunlError when the token has ended */
  async callerOf(req: IncomingMessage): Promise<Caller | undefined> {
    const key = cookieOf(req);
    const found = key === undefined ? undefined : this.#signedIn.get(key);
    if (key === undefined || found === undefined) return undefined;
    const isValid = () => !found.end.signal.aborted && found.until >= this.#wallNow();
    if (!isValid()) {
      this.#forget(key);
      return undefined;
    }
    // To a browser, sessions are the same site as the hub, so that the cookie comes with their requests.
    const site = req.headers['sec-fetch-site'];
    if (site !== undefined && site !== 'same-origin') throw fromElsewhere();
    if (req.method !== 'GET' && req.method !== 'HEAD') this.#checkOrigin(req);
    const caller = await this.#options.callers.of(found.principal);
    return {...caller, signIn: {isValid, left: found.end.signal}};
  }

  async #signIn(req: IncomingMessage, res: ServerResponse): Promise<void> {
    this.#checkOrigin(req);
    const {token} = (await readBody(req, SIGN_IN)) as v.InferOutput<typeof SIGN_IN>;
    const {principal} = await this.#options.callers.byToken(token, this.#options.addressOf(req));
    res.setHeader('Set-Cookie', this.#admit(principal));
    res.writeHead(204).end();
  }

  /** Returns the cookie of a person who has signed in. */
  #admit(principal: Principal): string {
    const key = randomBytes(32).toString('base64url');
    this.#forgetSurplus(principal.owner);
    const until = this.#wallNow() + SIGNED_IN_MS;
    this.#signedIn.set(key, {principal, until, end: new AbortController()});
    return `${COOKIE}=${key}; Path=/; Secure; HttpOnly; SameSite=Strict`;
  }

  async #answerIssuer(req: IncomingMessage, res: ServerResponse, path: string): Promise<boolean> {
    const {issuer, addressOf} = this.#options;
    if (path === '/sign-in') {
      const body = JSON.stringify({issuer: issuer?.host ?? null});
      res.writeHead(200, {'Content-Type': 'application/json'}).end(body);
      return true;
    }
    if (issuer === undefined) return false;
    if (path === '/sign-in/issuer') {
      if (!(await issuer.begin(res))) backToPage(res, 'failed');
      return true;
    }
    if (path !== SIGNED_IN_PATH) return false;
    const {searchParams} = new URL(req.url ?? '', 'https://hub');
    const result: SignInResult = await issuer.finish(req, searchParams, addressOf(req));
    if (typeof result === 'string') {
      backToPage(res, result);
      return true;
    }
    const {user, scopes} = result;
    const rights = rightsOf(scopes);
    const [keyId, tokenId, ended] = [undefined, undefined, undefined];
    const principal = {owner: user.id, keyId, tokenId, rights, limits: {}, ended};
    res.setHeader('Set-Cookie', this.#admit(principal));
    backToPage(res, undefined);
    return true;
  }

  #signOut(req: IncomingMessage, res: ServerResponse): void {
    this.#checkOrigin(req);
    const key = cookieOf(req);
    if (key !== undefined) this.#forget(key);
    res.setHeader('Set-Cookie', `${COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0`);
    res.writeHead(204).end();
  }

  /** Sessions of the hub have other names at the same relay, and may run anything. A browser that sends no Origin is too old. */
  #checkOrigin(req: IncomingMessage): void {
    if (req.headers.origin === new URL(this.#options.url()).origin) return;
    throw fromElsewhere();
  }

  #forgetSurplus(userId: string): void {
    const own = [...this.#signedIn].filter(([, {principal}]) => principal.owner === userId);
    for (const [key] of own.slice(0, Math.max(0, own.length - MOST_OF_ONE_USER + 1))) this.#forget(key);
    const [oldest] = this.#signedIn.keys();
    if (this.#signedIn.size >= MOST_SIGNED_IN && oldest !== undefined) this.#forget(oldest);
  }

  /** What this sign-in still reads ends with it. */
  #forget(key: string): void {
    this.#signedIn.get(key)?.end.abort();
    this.#signedIn.delete(key);
  }
}

/** The address of the page has the reason alone: the issuer's answer must not stay in the browser's history. */
function backToPage(res: ServerResponse, reason: string | undefined): void {
  res.writeHead(303, {Location: reason === undefined ? '/' : `/?sign-in=${reason}`}).end();
}

function fromElsewhere(): HttpProblem {
  return new HttpProblem(403, 'NOT_ALLOWED', 'The request comes from another page.');
}

function cookieOf({headers}: IncomingMessage): string | undefined {
  const pair = headers.cookie?.split(';').find((each) => each.trim().startsWith(`${COOKIE}=`));
  const value = pair?.trim().slice(COOKIE.length + 1);
  return value !== undefined && /^[\w-]{43}$/.test(value) ? value : undefined;
}

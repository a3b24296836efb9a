// Sign-in of people at an issuer of identities, for the page of a hub: the code flow with PKCE, state and nonce. Rules say from
// the claims who may do what; a person who comes for the first time becomes a user.

import type {IncomingMessage, ServerResponse} from 'node:http';
import {GuessLimit} from '../../agent/upstreams/gated/guess-limit.js';
import {
  type Attempt,
  reasonOf,
  type SignInClient,
  SignInIssuer,
} from '../../agent/upstreams/gated/sign-in-issuer.js';
import {VisitorCookies} from '../../agent/upstreams/gated/visitor-cookies.js';
import type {Claims} from '../../core/claims.js';
import type {Logger} from '../../core/logger.js';
import {mapIdentity, parseRule, type Rule} from '../../relay/access/oidc-rules.js';
import type {HubUser, HubUsers} from '../users.js';

/** Where the issuer sends browsers back to: the client at the issuer has to list it. */
export const SIGNED_IN_PATH = '/signed-in';
/** How long a person may take at the issuer, ms. */
const ATTEMPT_MS = 10 * 60_000;

export interface IssuerSignInOptions {
  readonly client: SignInClient;
  readonly rules: readonly string[];
  /** The claim that names the user. */
  readonly owner: string;
  /** The quota of a user who comes for the first time. */
  readonly quota: number;
}

export type SignInResult =
  | {readonly user: HubUser; readonly scopes: readonly string[]}
  /** `denied`: no rule is about this person. `failed`: the issuer's answer is missing, or not that of this browser. */
  | 'denied'
  | 'failed'
  | 'busy';

export interface SignInSite {
  readonly users: Pick<HubUsers, 'findOrAdd'>;
  /** The address of the hub. */
  readonly url: () => string;
  readonly log: Logger;
}

export class IssuerSignIn {
  readonly #issuer: SignInIssuer;
  readonly #rules: readonly Rule[];
  readonly #options: IssuerSignInOptions;
  readonly #site: SignInSite;
  readonly #attempts = new VisitorCookies('signin', '__Host-hub-');
  readonly #guesses = new GuessLimit();

  /** @throws TunlError OPTION_INVALID */
  constructor(options: IssuerSignInOptions, site: SignInSite) {
    this.#options = options;
    this.#site = site;
    this.#issuer = new SignInIssuer(options.client);
    this.#rules = options.rules.map(parseRule);
  }

  get host(): string {
    return this.#issuer.host;
  }

  /** Sends the browser to the issuer. False: the issuer cannot be used now. */
  async begin(res: ServerResponse): Promise<boolean> {
    try {
      const {url, attempt} = await this.#issuer.begin(this.#redirectUri);
      // Lax: the way back from the issuer is a request of another site.
      res.setHeader('Set-Cookie', this.#attempts.make(JSON.stringify(attempt), Date.now() + ATTEMPT_MS));
      res.writeHead(303, {Location: url}).end();
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  /** The browser comes back. @param address of the visitor */
  async finish(req: IncomingMessage, answer: URLSearchParams, address: string): Promise<SignInResult> {
    // Without its cookie somebody else's answer could sign this browser in as somebody else.
    const attempt = this.#attempts
      .read(req.rawHeaders)
      .map((text) => JSON.parse(text) as Attempt)
      .find(({state}) => state === answer.get('state'));
    if (attempt === undefined) return 'failed';
    const giveBack = this.#guesses.take(address);
    if (giveBack === undefined) return 'busy';
    let claims: Claims;
    try {
      claims = await this.#issuer.finish(answer, attempt, this.#redirectUri);
    } catch (error) {
      this.#failed(error);
      return 'failed';
    }
    giveBack();
    const {client, owner, quota} = this.#options;
    const identity = {issuer: client.issuer, isFirst: true, claims};
    const found = mapIdentity(this.#rules, identity, owner);
    if (found === undefined) return 'denied';
    return {user: await this.#site.users.findOrAdd(found.owner, quota), scopes: found.scopes};
  }

  get #redirectUri(): string {
    return `${new URL(this.#site.url()).origin}${SIGNED_IN_PATH}`;
  }

  #failed(error: unknown): void {
    this.#site.log.warn('a user could not sign in', {reason: reasonOf(error)});
  }
}

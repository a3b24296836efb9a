// Sign-in of visitors at an issuer of identities: the code flow of OpenID Connect, with PKCE, state and nonce.

import type * as OAuth from 'oauth4webapi';
import type {Claims} from '../../../core/claims.js';
import {printable} from '../../../core/one-line.js';
import {type IssuerTrust, issuerFetch} from '../../login/issuer-fetch.js';
import {loadOauth} from '../../login/load-oauth.js';

/** The issuer's facts about itself are fetched again after this time, ms. */
const FRESH_MS = 3_600_000;
/** After a failure, ms: visitors must not cause requests without end. */
const COOLDOWN_MS = 5_000;
const SCOPE = 'openid email profile';

export interface SignInClient {
  issuer: string;
  clientId: string;
  /** Undefined: a public client. */
  secret: string | undefined;
  trust: IssuerTrust;
}

/** One attempt of one browser. */
export interface Attempt {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

interface Server {
  readonly oauth: typeof OAuth;
  readonly server: OAuth.AuthorizationServer;
  readonly since: number;
}

export class SignInIssuer {
  readonly #about: SignInClient;
  #server: Promise<Server> | undefined;
  #since = 0;

  constructor(about: SignInClient) {
    this.#about = about;
    // An upgrade of the package removes the file from under a running tunnel, so it is not read at the first sign-in only.
    loadOauth().catch(() => {});
  }

  get host(): string {
    return new URL(this.#about.issuer).host;
  }

  /** The page of the issuer to send a browser to. @throws when the issuer cannot be used */
  async begin(redirectUri: string): Promise<{url: string; attempt: Attempt}> {
    const {oauth, server} = await this.#open();
    const {authorization_endpoint: page} = server;
    if (page === undefined || new URL(page).protocol !== 'https:')
      throw new Error('the issuer has no https page');
    const attempt = {
      state: oauth.generateRandomState(),
      nonce: oauth.generateRandomNonce(),
      verifier: oauth.generateRandomCodeVerifier(),
    };
    const url = new URL(page);
    const params = {
      client_id: this.#about.clientId,
      redirect_uri: redirectUri,
      response_type: 'code',
      scope: SCOPE,
      state: attempt.state,
      nonce: attempt.nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(attempt.verifier),
      code_challenge_method: 'S256',
    };
    for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value);
    return {url: url.href, attempt};
  }

  /** The claims of the person who comes back. @throws when the answer is not that of this attempt */
  async finish(
    answer: URLSearchParams,
    {state, nonce, verifier}: Attempt,
    redirectUri: string,
  ): Promise<Claims> {
    const {oauth, server} = await this.#open();
    const {clientId, secret, trust} = this.#about;
    const client = {client_id: clientId};
    const options = {[oauth.customFetch]: issuerFetch(trust)};
    const params = oauth.validateAuthResponse(server, client, answer, state);
    const asked = await oauth.authorizationCodeGrantRequest(
      ...([server, client, authOf(oauth, server, secret), params, redirectUri, verifier] as const),
      options,
    );
    const tokens = await oauth.processAuthorizationCodeResponse(server, client, asked, {
      expectedNonce: nonce,
      requireIdToken: true,
    });
    const claims = oauth.getValidatedIdTokenClaims(tokens);
    if (claims === undefined) throw new Error('no ID token');
    if (server.userinfo_endpoint === undefined) return claims;
    // Many issuers tell the address and the groups here only.
    const more = await oauth.userInfoRequest(server, client, tokens.access_token, options);
    return {...(await oauth.processUserInfoResponse(server, client, claims.sub, more)), ...claims};
  }

  #open(): Promise<Server> {
    const age = Date.now() - this.#since;
    if (this.#server === undefined || age > FRESH_MS) {
      this.#since = Date.now();
      const opening = this.#discover();
      this.#server = opening;
      opening.catch(() => {
        const forget = () => {
          if (this.#server === opening) this.#server = undefined;
        };
        setTimeout(forget, COOLDOWN_MS).unref();
      });
    }
    return this.#server;
  }

  async #discover(): Promise<Server> {
    const oauth = await loadOauth();
    const {issuer, trust} = this.#about;
    const at = new URL(issuer);
    const options = {[oauth.customFetch]: issuerFetch(trust)};
    const server = await oauth.processDiscoveryResponse(at, await oauth.discoveryRequest(at, options));
    return {oauth, server, since: Date.now()};
  }
}

function authOf(
  oauth: typeof OAuth,
  server: OAuth.AuthorizationServer,
  secret: string | undefined,
): OAuth.ClientAuth {
  if (secret === undefined) return oauth.None();
  // Basic is what an issuer takes when it says nothing.
  const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
  return methods.includes('client_secret_basic')
    ? oauth.ClientSecretBasic(secret)
    : oauth.ClientSecretPost(secret);
}

/** For the log of the owner: an error of the library may hold tokens, so only its kind is told. */
export function reasonOf(error: unknown): string {
  const said =
    error instanceof Error && 'error' in error && typeof error.error === 'string' ? error.error : undefined;
  return printable(said ?? (error instanceof Error ? error.message : String(error)));
}

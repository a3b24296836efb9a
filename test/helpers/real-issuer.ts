// A real issuer of identities with pages, for logins in a browser: the package oidc-provider, which is a certified one.
import {randomUUID} from 'node:crypto';
import type {IncomingMessage, ServerResponse} from 'node:http';
import {createServer} from 'node:https';
import {exportJWK, generateKeyPair} from 'jose';
import {ask} from '../../src/lib/carrier/ask.js';
import {type Authority, createAuthority} from './certificates.js';
import type {Scope} from './scope.js';

export interface RealIssuer {
  url: string;
  /** PEM text of its CA. */
  ca: string;
  /** A token for a job, without a person (client credentials), for this audience. */
  jobToken(audience: string): Promise<string>;
  /** Another pair of keys; the one before is gone. */
  rotate(): Promise<void>;
}

export const CLIENT = 'tunl';
/** Of pages that ask their visitors to sign in. */
export const SITE = {client_id: 'site', client_secret: 'the secret of the site at its issuer'};
const JOB = {client_id: 'job', client_secret: 'the secret of the job at its issuer'};

/** Anybody can log in there, with any password. The address of NAME is NAME@example.com, and verified. */
export async function startRealIssuer(
  scope: Scope,
  {authority: given, redirectUris = []}: {authority?: Authority; redirectUris?: readonly string[]} = {},
): Promise<RealIssuer> {
  const {default: Provider} = await import('oidc-provider');
  const authority = given ?? (await createAuthority('Issuer CA'));
  const server = createServer(await authority.issue(['localhost']));
  const port = await scope.listen(server);
  const url = `https://localhost:${port}`;
  const provider = (jwks?: {keys: object[]}) =>
    new Provider(url, {
      ...(jwks && {jwks}),
      clients: [
        {
          client_id: CLIENT,
          application_type: 'native',
          token_endpoint_auth_method: 'none',
          grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
          response_types: [],
          redirect_uris: [],
        },
        {...JOB, grant_types: ['client_credentials'], response_types: [], redirect_uris: []},
        ...(redirectUris.length === 0 ? [] : [{...SITE, redirect_uris: redirectUris}]),
      ],
      features: {
        deviceFlow: {enabled: true},
        clientCredentials: {enabled: true},
        resourceIndicators: {
          enabled: true,
          defaultResource: () => undefined,
          getResourceServerInfo: (_context: unknown, audience: string) => ({
            scope: 'run',
            audience,
            accessTokenFormat: 'jwt',
          }),
        },
      },
      claims: {openid: ['sub'], email: ['email', 'email_verified'], profile: ['groups']},
      // The address is in the ID token itself.
      conformIdTokenClaims: false,
      issueRefreshToken: () => true,
      rotateRefreshToken: true,
      ttl: {IdToken: 3_600},
      findAccount: (_context: unknown, id: string) => ({
        accountId: id,
        claims: () => ({sub: id, email: `${id}@example.com`, email_verified: true, groups: ['dev']}),
      }),
      cookies: {keys: ['a key of the test']},
    });
  let serves: (...words: [IncomingMessage, ServerResponse]) => void = provider().callback();
  server.on('request', (...words) => serves(...words));
  return {
    url,
    ca: authority.cert,
    rotate: async () => {
      const {privateKey} = await generateKeyPair('RS256', {extractable: true});
      const key = {...(await exportJWK(privateKey)), use: 'sig', alg: 'RS256', kid: randomUUID()};
      serves = provider({keys: [key]}).callback();
    },
    jobToken: async (audience) => {
      const form = new URLSearchParams({
        grant_type: 'client_credentials',
        resource: audience,
        scope: 'run',
        ...JOB,
      });
      const {text} = await ask({
        url: new URL(`${url}/token`),
        kind: 'issuer',
        method: 'POST',
        headers: {'Content-Type': 'application/x-www-form-urlencoded'},
        body: form.toString(),
        ca: authority.cert,
        env: {},
      });
      return String((JSON.parse(text) as {access_token?: unknown}).access_token);
    },
  };
}

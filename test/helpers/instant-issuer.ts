// An issuer of identities that asks nothing: whoever is sent to its page comes back as ana@example.com at once.
import {randomBytes} from 'node:crypto';
import {createServer} from 'node:https';
import {exportJWK, generateKeyPair, SignJWT} from 'jose';
import {createAuthority} from './certificates.js';
import type {Scope} from './scope.js';

export interface InstantIssuer {
  url: string;
  /** PEM text of its CA. */
  ca: string;
  /** All codes and tokens that it gave. */
  issued: {code: string; accessToken: string; idToken: string}[];
}

export const INSTANT_CLIENT = 'site';
export const INSTANT_PERSON = 'ana@example.com';

export async function startInstantIssuer(scope: Scope): Promise<InstantIssuer> {
  const authority = await createAuthority('Instant issuer CA');
  const {publicKey, privateKey} = await generateKeyPair('ES256');
  /** Each code is for one sign-in. */
  const nonces = new Map<string, string>();
  const issued: InstantIssuer['issued'] = [];
  const answer = async (path: URL, body: string): Promise<object | URL> => {
    const asked = path.searchParams;
    switch (path.pathname) {
      case '/.well-known/openid-configuration':
        return {
          issuer: url,
          jwks_uri: `${url}/keys`,
          authorization_endpoint: `${url}/auth`,
          token_endpoint: `${url}/token`,
          id_token_signing_alg_values_supported: ['ES256'],
        };
      case '/keys':
        return {keys: [{...(await exportJWK(publicKey)), kid: '1', use: 'sig'}]};
      case '/auth': {
        const code = randomBytes(16).toString('hex');
        nonces.set(code, asked.get('nonce') ?? '');
        const back = new URL(asked.get('redirect_uri') ?? '');
        back.searchParams.set('code', code);
        back.searchParams.set('state', asked.get('state') ?? '');
        return back;
      }
      case '/token': {
        const code = new URLSearchParams(body).get('code') ?? '';
        const nonce = nonces.get(code);
        const claims = {sub: 'ana', email: INSTANT_PERSON, email_verified: true, nonce};
        const token = new SignJWT(claims).setProtectedHeader({alg: 'ES256', kid: '1'}).setIssuedAt();
        token.setIssuer(url).setAudience(INSTANT_CLIENT).setExpirationTime('10m');
        const given = {
          code,
          accessToken: randomBytes(16).toString('hex'),
          idToken: await token.sign(privateKey),
        };
        issued.push(given);
        return {access_token: given.accessToken, token_type: 'bearer', id_token: given.idToken};
      }
      default:
        return {};
    }
  };
  const server = createServer(await authority.issue(['localhost']), (request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (text: string) => (body += text));
    request.on('end', () => {
      void answer(new URL(request.url ?? '/', url), body).then((what) => {
        if (what instanceof URL) response.writeHead(302, {location: what.href}).end();
        else response.writeHead(200, {'content-type': 'application/json'}).end(JSON.stringify(what));
      });
    });
  });
  const url = `https://localhost:${await scope.listen(server)}`;
  return {url, ca: authority.cert, issued};
}

// A small issuer of identities over HTTPS, whose keys and answers a test controls. It has no pages: those of a real one are in
// real-issuer.ts.
import {createServer} from 'node:https';
import {exportJWK, generateKeyPair, type JWTHeaderParameters, type JWTPayload, SignJWT} from 'jose';
import {createAuthority} from './certificates.js';
import type {Scope} from './scope.js';

type Pair = Awaited<ReturnType<typeof generateKeyPair>>;

export interface Issuer {
  url: string;
  /** PEM text of its CA. */
  ca: string;
  /** Requests so far. */
  readonly requests: number;
  /** The public key of the current pair. */
  readonly publicKey: Pair['publicKey'];
  /** Another pair of keys; the one before is gone. */
  rotate(): Promise<void>;
  /** Its answer to each request; undefined: the usual one; `broken`: the connection breaks. */
  answer: ((path: string) => {status: number; body: string} | 'broken' | undefined) | undefined;
  /** A token with `iss`, `sub`, `aud` and an `exp` of ten minutes, except what `claims` says. `undefined` leaves a claim out. */
  token(
    claims?: {[claim in keyof JWTPayload]: JWTPayload[claim] | undefined},
    header?: Partial<JWTHeaderParameters>,
  ): Promise<string>;
}

export const AUDIENCE = 'https://r1.localhost';

export async function startIssuer(scope: Scope): Promise<Issuer> {
  const authority = await createAuthority('Issuer CA');
  let requests = 0;
  let number = 0;
  let pair: Pair;
  const kid = () => `key-${number}`;
  const rotate = async () => {
    number += 1;
    pair = await generateKeyPair('ES256', {extractable: true});
  };
  await rotate();
  const server = createServer(await authority.issue(['localhost']), (req, res) => {
    requests += 1;
    const path = req.url ?? '';
    const own = issuer.answer?.(path);
    if (own === 'broken') {
      req.socket.destroy();
      return;
    }
    if (own !== undefined) {
      res.writeHead(own.status, {'Content-Type': 'application/json'}).end(own.body);
      return;
    }
    if (path === '/.well-known/openid-configuration') {
      res.end(JSON.stringify({issuer: issuer.url, jwks_uri: `${issuer.url}/keys`}));
      return;
    }
    void exportJWK(pair.publicKey).then((key) =>
      res.end(JSON.stringify({keys: [{...key, kid: kid(), use: 'sig'}]})),
    );
  });
  const port = await scope.listen(server);
  const issuer: Issuer = {
    url: `https://localhost:${port}`,
    ca: authority.cert,
    get requests() {
      return requests;
    },
    get publicKey() {
      return pair.publicKey;
    },
    rotate,
    answer: undefined,
    token: async (claims = {}, header = {}) => {
      const now = Math.floor(Date.now() / 1_000);
      const all = {iss: issuer.url, sub: 'ana', aud: AUDIENCE, iat: now, exp: now + 600, ...claims};
      return await new SignJWT(all as JWTPayload)
        .setProtectedHeader({alg: 'ES256', kid: kid(), ...header})
        .sign(pair.privateKey);
    },
  };
  return issuer;
}

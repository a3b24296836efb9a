// The token that agents need. It is compared in constant time, and only its hash is kept.

import {createHash, timingSafeEqual} from '../../core/node-crypto.js';
import type {Principal} from './principal.js';

export type TokenVerdict =
  /** No principal: no token is needed, and the agent's key proves its identity. */
  | {ok: true; principal: Principal | undefined}
  | {ok: false; code: 'TOKEN_MISSING' | 'TOKEN_WRONG'; message: string};

export interface TokenCheck {
  /** @param authorization the header of the request, unchanged. */
  check(authorization: string | undefined): TokenVerdict;
}

const hashOf = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Without a token every agent is accepted; such a relay listens on loopback only. */
export function createTokenCheck(token: string | undefined): TokenCheck {
  if (token === undefined) return {check: () => ({ok: true, principal: undefined})};
  const expected = hashOf(token);
  const principal = {owner: `token:${expected.toString('hex').slice(0, 32)}`, keyId: undefined};
  return {
    check(authorization) {
      const given = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
      if (given === undefined)
        return {ok: false, code: 'TOKEN_MISSING', message: 'This relay asks for a token.'};
      // Hashes have one length, so the comparison reveals nothing about the length of the token.
      if (!timingSafeEqual(hashOf(given), expected)) {
        return {ok: false, code: 'TOKEN_WRONG', message: 'The relay does not know this token.'};
      }
      return {ok: true, principal};
    },
  };
}

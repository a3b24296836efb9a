// The user behind a request: a bearer token of the hub's registry, or a page that has signed in with one.

import {GuessLimit} from '../../agent/upstreams/gated/guess-limit.js';
import {TunlError} from '../../core/errors.js';
import type {Verifier} from '../../relay/access/access.js';
import type {Principal} from '../../relay/access/principal.js';
import type {HubUser} from '../users.js';
import {HttpProblem} from './problem.js';

export interface Caller {
  readonly user: HubUser;
  /** Sees and ends the sessions of everybody. */
  readonly isAdmin: boolean;
  readonly principal: Principal;
  /** Undefined: each request brings a token. */
  readonly signIn?: SignIn | undefined;
}

/** The sign-in of a page. */
export interface SignIn {
  /** False: its time is over, or the user has signed out. */
  readonly isValid: () => boolean;
  /** Aborts when the user signs out. */
  readonly left: AbortSignal;
}

export interface CallersOptions {
  readonly tokens: Pick<Verifier, 'check' | 'handles'>;
  readonly userById: (id: string) => Promise<HubUser | undefined>;
}

export class Callers {
  readonly #options: CallersOptions;
  readonly #guesses = new GuessLimit();

  constructor(options: CallersOptions) {
    this.#options = options;
  }

  /**
   * @param address of the visitor: wrong tokens are limited by it
   * @throws TunlError TOKEN_MISSING, TOKEN_WRONG, TOKEN_EXPIRED, TOKEN_REVOKED, NOT_ALLOWED; HttpProblem after too many wrong ones
   */
  async byHeader(authorization: string | undefined, address: string): Promise<Caller> {
    if (authorization === undefined)
      throw new TunlError('TOKEN_MISSING', {reason: 'The hub asks for a token.'});
    const token = /^bearer +([\x21-\x7e]{1,256})$/i.exec(authorization)?.[1];
    if (token === undefined)
      throw new TunlError('TOKEN_WRONG', {
        reason: 'The hub takes a bearer token: Authorization: Bearer TOKEN.',
      });
    return await this.byToken(token, address);
  }

  /** @throws as `byHeader` */
  async byToken(token: string, address: string): Promise<Caller> {
    // A right token is never kept out: somebody else at this address may send wrong ones. A secret of 256 bits cannot be guessed.
    const wrong = () => {
      if (this.#guesses.take(address) !== undefined)
        return new TunlError('TOKEN_WRONG', {reason: 'The hub does not know this token.'});
      const headers = {'Retry-After': '5'};
      return new HttpProblem(429, 'TOKEN_WRONG', 'Too many wrong tokens came from this address.', headers);
    };
    if (!this.#options.tokens.handles(token)) throw wrong();
    const verdict = await this.#options.tokens.check(token);
    if (!verdict.ok) {
      if (verdict.code === 'TOKEN_WRONG') throw wrong();
      throw new TunlError(verdict.code, {reason: verdict.message});
    }
    const {principal} = verdict;
    if (principal === undefined) throw wrong();
    return await this.of(principal);
  }

  /** Again for each request of a page that has signed in. @throws TunlError NOT_ALLOWED, TOKEN_REVOKED, TOKEN_EXPIRED */
  async of(principal: Principal): Promise<Caller> {
    if (principal.ended !== undefined) throw new TunlError(principal.ended);
    const user = await this.#options.userById(principal.owner);
    const isAdmin = principal.rights.allows('hub', 'admin');
    if (user === undefined || !(isAdmin || principal.rights.allows('hub', 'sessions'))) {
      throw new TunlError('NOT_ALLOWED', {
        reason:
          user === undefined ? 'The user of this token was removed.' : 'The token may not start sessions.',
      });
    }
    return {user, isAdmin, principal};
  }
}

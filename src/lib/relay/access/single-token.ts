// The single token of `--token-file`: its holder has all rights. It is compared in constant time, and only its hash is kept.

import {createHash, timingSafeEqual} from '../../core/node-crypto.js';
import type {RelaySettings} from '../settings.js';
import {type Verdict, type Verifier, WRONG} from './access.js';
import {type Principal, type TokenEnd, unlimitedPrincipal} from './principal.js';
import {OPERATORS_RIGHTS} from './rights.js';

const hashOf = (text: string): Buffer => createHash('sha256').update(text).digest();

interface Known {
  readonly hash: Buffer;
  readonly principal: Principal & {ended: TokenEnd | undefined};
}

/** Handles every token, so it comes after the verifiers of other kinds. */
export class SingleToken implements Verifier {
  #known: Known | undefined;
  readonly #listeners: (() => void)[] = [];

  constructor(token: string | undefined) {
    this.#known = known(token);
  }

  get isNeeded(): boolean {
    return this.#known !== undefined;
  }

  handles(): boolean {
    return true;
  }

  check(token: string): Verdict {
    // Hashes have one length, so the comparison reveals nothing about the length of the token.
    if (this.#known === undefined || !timingSafeEqual(hashOf(token), this.#known.hash)) return WRONG;
    return {ok: true, principal: this.#known.principal};
  }

  onChanged(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Another token revokes the one before. */
  reload({token}: Pick<RelaySettings, 'token'>): void {
    const before = this.#known;
    const next = known(token);
    if (before !== undefined && next?.hash.equals(before.hash)) return;
    this.#known = next;
    if (before === undefined) return;
    before.principal.ended = 'TOKEN_REVOKED';
    for (const listener of this.#listeners) listener();
  }
}

function known(token: string | undefined): Known | undefined {
  if (token === undefined) return undefined;
  const hash = hashOf(token);
  const owner = `token:${hash.toString('hex').slice(0, 32)}`;
  const principal = {...unlimitedPrincipal(owner), rights: OPERATORS_RIGHTS};
  return {hash, principal: {...principal, ended: undefined}};
}

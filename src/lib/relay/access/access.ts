// Decides which agents may come: asks the verifiers of tokens, and tells when rights have changed.

import type {ErrorCode} from '../../core/errors.js';
import type {Part} from '../part.js';
import type {RelaySettings} from '../settings.js';
import type {Principal} from './principal.js';

export type Verdict =
  /** No principal: no token is needed, and the agent's key proves its identity. */
  {ok: true; principal: Principal | undefined} | Refusal;

export interface Refusal {
  ok: false;
  code: ErrorCode;
  message: string;
  /** The HTTP status. An agent ends at 401 and 403, and tries again at 429 and 503. Default 401. */
  status?: 401 | 403 | 429 | 503;
  retryAfterMs?: number;
  /** The token was right, and is refused for another reason. Otherwise nobody knows whose it is. */
  of?: Pick<Principal, 'owner' | 'tokenId'>;
}

/** Checks tokens of one kind. It may start and close like a part of the relay. */
export interface Verifier extends Part {
  /** True while it has tokens: agents must show one. */
  readonly isNeeded: boolean;
  handles(token: string): boolean;
  /** The key of the count of failed attempts, besides the address: no secret. Undefined: only the address counts. */
  idOf?(token: string): string | undefined;
  /** Must not throw, and gives the same answer in the same time for all tokens that are not right. */
  check(token: string): Verdict | Promise<Verdict>;
  /** The listener is called when a principal has ended, or its rights or limits have changed. */
  onChanged?(listener: () => void): void;
}

/** No token is needed. */
const OPEN: Verdict = {ok: true, principal: undefined};
const MISSING: Refusal = {ok: false, code: 'TOKEN_MISSING', message: 'This relay asks for a token.'};
/** One text for all: it does not tell whether a token exists. */
export const WRONG: Refusal = {
  ok: false,
  code: 'TOKEN_WRONG',
  message: 'The relay does not know this token.',
};

export class Access implements Part {
  /** In order: the first one that handles a token checks it. */
  readonly #verifiers: readonly Verifier[];
  /** A login was refused. `from`: the address. */
  readonly onRefused: (refusal: Refusal, from: string) => void;

  constructor(verifiers: readonly (Verifier | undefined)[], onRefused: Access['onRefused'] = () => {}) {
    this.onRefused = onRefused;
    this.#verifiers = verifiers.filter((verifier) => verifier !== undefined);
  }

  /**
   * Without a verifier that has tokens every agent is accepted; such a relay listens on loopback only.
   *
   * @param authorization the header of the request, unchanged.
   */
  identify(authorization: string | undefined): Verdict | Promise<Verdict> {
    const token = tokenOf(authorization);
    const verifier = token === undefined ? undefined : this.#verifierOf(token);
    if (token === undefined || verifier === undefined) {
      if (!this.isNeeded) return OPEN;
      return token === undefined ? MISSING : WRONG;
    }
    if (this.isNeeded) return verifier.check(token);
    // The first token may have been made a moment ago. An agent may also show one that is for another relay.
    return verifier.idOf?.(token) === undefined ? OPEN : this.#openOr(verifier.check(token));
  }

  async #openOr(verdict: Verdict | Promise<Verdict>): Promise<Verdict> {
    const {ok} = await verdict;
    return ok || this.isNeeded ? verdict : OPEN;
  }

  /** Agents must show a token. */
  get isNeeded(): boolean {
    return this.#verifiers.some(({isNeeded}) => isNeeded);
  }

  /** The id in the token of this header, before it is checked. */
  idOf(authorization: string | undefined): string | undefined {
    const token = tokenOf(authorization);
    return token === undefined ? undefined : this.#verifierOf(token)?.idOf?.(token);
  }

  /** Rights, limits or ends of principals have changed: what was allowed before has to be checked again. */
  onChanged(listener: () => void): void {
    for (const verifier of this.#verifiers) verifier.onChanged?.(listener);
  }

  async start(): Promise<void> {
    for (const verifier of this.#verifiers) await verifier.start?.();
  }

  async checkReload(settings: RelaySettings): Promise<void> {
    for (const verifier of this.#verifiers) await verifier.checkReload?.(settings);
  }

  async reload(settings: RelaySettings): Promise<void> {
    for (const verifier of this.#verifiers) await verifier.reload?.(settings);
  }

  async close(until: number): Promise<void> {
    for (const verifier of this.#verifiers) await verifier.close?.(until);
  }

  #verifierOf(token: string): Verifier | undefined {
    return this.#verifiers.find((verifier) => verifier.handles(token));
  }
}

function tokenOf(authorization: string | undefined): string | undefined {
  return /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
}

// The network of a sandbox: sealed, so that rules can hold and change; or, where this machine can seal none, without a way out.

import {TunlError, toTunlError} from '../../core/errors.js';
import {RESOLVER_ADDRESS} from '../../seal/name-table.js';
import {missing, programPath} from '../../seal/obstacles.js';
import {openSeal, type Seal, type SealOptions} from '../../seal/seal.js';
import type {Finding} from '../backend.js';
import type {EgressRules} from '../spec.js';

export const SEAL_PROGRAMS = ['unshare', 'nsenter', 'setpriv', 'ip', 'nft'] as const;
const WHAT = 'sealed network';

export class SandboxNetwork {
  readonly #seal: Seal | undefined;

  private constructor(seal: Seal | undefined) {
    this.#seal = seal;
  }

  /** After `onLost` the sandbox has no network any more, and must end. @throws TunlError SANDBOX_EGRESS, EGRESS_INVALID */
  static async open(
    options: Pick<SealOptions, 'rules' | 'onLost' | 'onRefused' | 'signal'>,
  ): Promise<SandboxNetwork> {
    try {
      return new SandboxNetwork(await openSeal({...options, early: true}));
    } catch (error) {
      options.signal?.throwIfAborted();
      if (options.rules.kind !== 'none') throw error;
      return new SandboxNetwork(undefined);
    }
  }

  /** Whether bwrap is started in a network namespace that it has to keep. */
  get isSealed(): boolean {
    return this.#seal !== undefined;
  }

  /** Until then there is no way out. @throws TunlError SANDBOX_EGRESS */
  async ready(): Promise<void> {
    await this.#seal?.ready;
  }

  /** Files of /etc. */
  get files(): Readonly<Record<string, string>> {
    return {'resolv.conf': `nameserver ${RESOLVER_ADDRESS}\noptions timeout:2 attempts:2\n`};
  }

  /** Words before the shell of an ordinary user, who has no rights after them. */
  get userWords(): readonly string[] {
    return this.#seal?.prefix({cwd: '/'}) ?? [];
  }

  /** Words before the command that drops root. */
  get rootWords(): readonly string[] {
    if (this.#seal === undefined) return [];
    return [programPath('nsenter') ?? 'nsenter', `--net=${this.#seal.netns}`, '--'];
  }

  async setRules(rules: EgressRules): Promise<void> {
    if (this.#seal !== undefined) await this.#seal.setRules(rules);
    else if (rules.kind !== 'none')
      throw new TunlError('SANDBOX_EGRESS', {reason: 'This machine can seal no network.', next: mendOf()});
  }

  /** After the end of bwrap. Idempotent. */
  async close(): Promise<void> {
    await this.#seal?.close();
  }
}

const mendOf = (): string => missing(SEAL_PROGRAMS)?.mend ?? 'Run `tunl sandbox doctor` for the reason.';

/** Seals a network and opens it, for a moment. */
export async function tryNetwork(): Promise<Finding> {
  try {
    const seal = await openSeal({rules: {kind: 'internet'}, early: true});
    try {
      await seal.ready;
    } finally {
      await seal.close();
    }
    return {what: WHAT, reality: 'real'};
  } catch (error) {
    const {message, next} = toTunlError(error);
    return {what: WHAT, reality: 'none', why: message, mend: next};
  }
}

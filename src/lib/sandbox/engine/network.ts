// The network of a container: the engine gives it none, and a seal is laid over it when rules allow destinations.

import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {TunlError} from '../../core/errors.js';
import {RESOLVER_ADDRESS} from '../../seal/name-table.js';
import type {Obstacle} from '../../seal/obstacles.js';
import {openSeal, type Seal, type SealOptions} from '../../seal/seal.js';
import type {Finding} from '../backend.js';
import type {EgressRules, SandboxMount} from '../spec.js';
import type {EngineFacts} from './facts.js';

export interface NetworkOptions extends Pick<SealOptions, 'onRefused'> {
  /** A process of the container; 0: it is not visible from here. */
  readonly pid: number;
  /** It has lost its rules, and must end. */
  readonly onLost: () => void;
}

export class ContainerNetwork {
  readonly #options: NetworkOptions;
  #seal: Seal | undefined;
  #last: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: NetworkOptions) {
    this.#options = options;
  }

  /** One change after the other. @throws TunlError SANDBOX_EGRESS, EGRESS_INVALID */
  setRules(rules: EgressRules, signal?: AbortSignal): Promise<void> {
    const change = this.#last.then(() => this.#change(rules, signal));
    this.#last = change.catch(() => {});
    return change;
  }

  async #change(rules: EgressRules, signal: AbortSignal | undefined): Promise<void> {
    if (this.#isClosed) throw new TunlError('SANDBOX_ENDED');
    if (this.#seal !== undefined) return this.#seal.setRules(rules);
    if (rules.kind === 'none') return;
    const {pid, onLost, onRefused} = this.#options;
    this.#seal = await openSeal({rules, joins: {pid}, onLost, onRefused, signal});
    if (this.#isClosed) await this.#seal.close();
  }

  /** Idempotent; never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#last;
    await this.#seal?.close().catch(() => {});
  }
}

/** The name server inside is the seal. Without one there is no route to it, so a look-up fails at once. */
export async function resolverMount(folder: string): Promise<SandboxMount> {
  const source = join(folder, 'resolv.conf');
  await writeFile(source, `nameserver ${RESOLVER_ADDRESS}\noptions timeout:2 attempts:2\n`, {mode: 0o644});
  return {source, target: '/etc/resolv.conf', readOnly: true};
}

/** An ordinary user cannot enter the network of a container that belongs to root. */
export function networkFinding({kind, isRootless}: EngineFacts, obstacle: Obstacle | undefined): Finding {
  const what = 'sealed network';
  if (process.getuid?.() !== 0 && !isRootless)
    return {
      what,
      reality: 'none',
      why: `${kind} runs as root, and only root may seal the network of its containers.`,
      mend: `Run tunl as root, or use rootless ${kind === 'docker' ? 'docker or podman' : kind}.`,
    };
  if (obstacle === undefined) return {what, reality: 'real'};
  return {what, reality: 'none', why: obstacle.why, mend: obstacle.mend};
}

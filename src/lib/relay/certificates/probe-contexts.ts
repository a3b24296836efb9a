// Contexts for probes. Each agent probes its names once when it starts, and nobody else may visit them for hours: a context that
// is kept for each name would be a third of the memory of an idle agent.

import type {SecureContext} from 'node:tls';
import type {Clock} from '../../core/clock.js';
import {Recent} from './recent.js';
import {MAX_CONTEXTS} from './tls-context.js';

/** Anybody can say that a connection is a probe. A name that is probed again within this time gets a context that is kept, ms. */
const AGAIN_MS = 60_000;

export class ProbeContexts {
  readonly #clock: Clock;
  /** When a name was probed, by `contextKey`. */
  readonly #probedAt = new Recent<string, number>(MAX_CONTEXTS);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** True when the context for this probe need not be kept. Counts as a probe. */
  isRare(key: string): boolean {
    const now = this.#clock.now();
    const before = this.#probedAt.get(key);
    this.#probedAt.set(key, now);
    return before === undefined || now - before >= AGAIN_MS;
  }
}

/**
 * For a context of one socket only. Node frees its memory with the socket, instead of at a full collection.
 *
 * The property is Node's own, for contexts that it makes itself. A Node without it frees the memory later.
 */
export function forOneSocket(context: SecureContext): SecureContext {
  return Object.assign(context, {singleUse: true});
}

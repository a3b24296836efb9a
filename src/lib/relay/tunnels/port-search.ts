// Finds a free TCP port for a bind that wants any. In a full range every port must be looked at, with workers by a question to the
// first process: many ports are asked for at once, by one bind at a time, and the answer is remembered for a moment.

import type {Clock} from '../../core/clock.js';
import type {LeaseStore} from '../leases/lease-store.js';
import type {PortRange, TcpPorts} from './tcp-ports.js';

/** Random ports to try before all ports: enough to miss a few that other programs use. */
const PORT_TRIES = 50;
/** The ports of one question. The first question has one, and each further one twice as many: most ranges are nearly empty. */
const MOST_PORTS = 1_024;
/** From this many ports in a question on, others that search the same ranges wait for the result. */
const LONG_FROM = 32;
/** A range that was full stays full for this long, ms. */
const FULL_MS = 1_000;
/** Full ranges that are remembered. Tokens may have ranges of their own. */
const MOST_REMEMBERED = 256;

export interface PortSearchOptions {
  leases: Pick<LeaseStore, 'freePorts'>;
  ports: Pick<TcpPorts, 'candidates'>;
  clock: Pick<Clock, 'now'>;
}

export class PortSearch {
  readonly #options: PortSearchOptions;
  /** Until when ranges count as full. */
  readonly #full = new Map<string, number>();
  readonly #running = new Map<string, Promise<void>>();

  constructor(options: PortSearchOptions) {
    this.#options = options;
  }

  /**
   * Ports without a lease, in random order; 0: the system chooses. A caller that leaves before the end has found one.
   *
   * @param allowed only ports of these ranges. Default: all.
   */
  async *free(allowed: readonly PortRange[] | undefined): AsyncGenerator<number> {
    const ranges = String(allowed);
    if (this.#isFull(ranges)) return;
    const {ports, clock} = this.#options;
    let search: PromiseWithResolvers<void> | undefined;
    try {
      let some: number[] = [];
      let size = 1;
      for (const port of ports.candidates(PORT_TRIES, allowed)) {
        some.push(port);
        if (some.length < size) continue;
        yield* await this.#freeOf(some);
        some = [];
        size = Math.min(2 * size, MOST_PORTS);
        if (search !== undefined || size < LONG_FROM) continue;
        for (let other = this.#running.get(ranges); other !== undefined; other = this.#running.get(ranges)) {
          await other;
          if (this.#isFull(ranges)) return;
        }
        search = Promise.withResolvers();
        this.#running.set(ranges, search.promise);
      }
      yield* await this.#freeOf(some);
      if (this.#full.size >= MOST_REMEMBERED) this.#full.clear();
      this.#full.set(ranges, clock.now() + FULL_MS);
    } finally {
      if (search !== undefined) {
        this.#running.delete(ranges);
        search.resolve();
      }
    }
  }

  #isFull(ranges: string): boolean {
    const until = this.#full.get(ranges);
    if (until === undefined) return false;
    if (this.#options.clock.now() < until) return true;
    this.#full.delete(ranges);
    return false;
  }

  async #freeOf(some: readonly number[]): Promise<readonly number[]> {
    // The caller asks for a single port again anyway, and 0 is none.
    return some.length < 2 || some[0] === 0 ? some : await this.#options.leases.freePorts(some);
  }
}

// The figures of a run: kept round by round, compared within each round.

import type {Goal} from './figures.js';
import type {Measured} from './loads/loads.js';

/** The runtime alone, a lower bound for some figures. */
export const bareNode = 'node -e 0';

export class Results {
  /** Peer, key, round. */
  readonly #values = new Map<string, Map<string, Map<number, number>>>();

  add(peer: string, round: number, measured: Measured): void {
    const keys = this.#values.get(peer) ?? new Map<string, Map<number, number>>();
    this.#values.set(peer, keys);
    for (const [key, value] of Object.entries(measured)) {
      const rounds = keys.get(key) ?? new Map<number, number>();
      keys.set(key, rounds.set(round, value));
    }
  }

  median(peer: string, key: string): number | undefined {
    return median([...this.#rounds(peer, key).values()]);
  }

  keys(peer: string): readonly string[] {
    return [...(this.#values.get(peer)?.keys() ?? [])];
  }

  /** The distance between the best and the worst round ÷ the median: the noise of a figure. */
  spread(peer: string, key: string): number | undefined {
    const values = [...this.#rounds(peer, key).values()];
    const middle = median(values);
    if (values.length < 2 || middle === undefined || middle === 0) return undefined;
    return (Math.max(...values) - Math.min(...values)) / middle;
  }

  /**
   * The median of the rounds' ratios, so drift between rounds affects both sides. The bare runtime has
   * separate rounds, and is compared by medians. @param key several keys stand for their sum.
   */
  ratio(peer: string, key: string | readonly string[], against: string): number | undefined {
    if (typeof key !== 'string') return this.#ratioOfSums(peer, key, against);
    if (against === bareNode) {
      const [value, bare] = [this.median(peer, key), this.median(bareNode, key)];
      return value === undefined || bare === undefined ? undefined : value / bare;
    }
    const others = this.#rounds(against, key);
    return median(
      [...this.#rounds(peer, key)].flatMap(([round, value]) => {
        const other = others.get(round);
        return other === undefined || other === 0 ? [] : [value / other];
      }),
    );
  }

  #ratioOfSums(peer: string, keys: readonly string[], against: string): number | undefined {
    const sum = (name: string, round: number) =>
      keys.reduce((total, key) => total + (this.#rounds(name, key).get(round) ?? Number.NaN), 0);
    const rounds = [...this.#rounds(peer, keys[0] ?? '').keys()];
    return median(
      rounds.map((round) => sum(peer, round) / sum(against, round)).filter((ratio) => Number.isFinite(ratio)),
    );
  }

  toJSON(): Record<string, Record<string, number[]>> {
    return Object.fromEntries(
      [...this.#values].map(([peer, keys]) => [
        peer,
        Object.fromEntries([...keys].map(([key, rounds]) => [key, [...rounds.values()]])),
      ]),
    );
  }

  #rounds(peer: string, key: string): ReadonlyMap<number, number> {
    return this.#values.get(peer)?.get(key) ?? new Map();
  }
}

export interface Verdict extends Goal {
  /** A ratio, or an absolute figure. */
  value: number;
  pass: boolean;
}

/** The goals for which this run has figures. */
export function judge(goals: readonly Goal[], results: Results): Verdict[] {
  return goals.flatMap((goal) => {
    const value =
      goal.against === undefined
        ? results.median(goal.of ?? 'tunl', goal.key)
        : results.ratio(goal.of ?? 'tunl', goal.key, goal.against);
    if (value === undefined) return [];
    return [{...goal, value, pass: value >= (goal.atLeast ?? 0) && value <= (goal.atMost ?? Infinity)}];
  });
}

export function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted[Math.floor(sorted.length / 2)]];
  return low === undefined || high === undefined ? undefined : (low + high) / 2;
}

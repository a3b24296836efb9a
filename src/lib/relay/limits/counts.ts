// Counts by name, which leave no entry behind when they are zero: names come from strangers.

export class Counts {
  readonly #here = new Map<string, number>();
  #elsewhere: ReadonlyMap<string, number> = new Map();

  /** The count in all processes of this relay, as far as they have told. */
  of(name: string): number {
    return (this.#here.get(name) ?? 0) + (this.#elsewhere.get(name) ?? 0);
  }

  add(name: string, change: 1 | -1): void {
    const count = (this.#here.get(name) ?? 0) + change;
    if (count === 0) this.#here.delete(name);
    else this.#here.set(name, count);
  }

  /** The counts of this process that are worth telling: `least` and more. */
  *here(least: number): Generator<readonly [name: string, count: number]> {
    for (const entry of this.#here) if (entry[1] >= least) yield entry;
  }

  /** The counts in the other processes. */
  setElsewhere(counts: Iterable<readonly [name: string, count: number]>): void {
    this.#elsewhere = new Map(counts);
  }
}

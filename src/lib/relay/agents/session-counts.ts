// The number of sessions of each owner, in all processes of this relay.

export class SessionCounts {
  /** Gets the number in this process after each change. */
  onChange: (owner: string, count: number) => void = () => {};
  readonly #here = new Map<string, number>();
  readonly #elsewhere = new Map<string, number>();

  of(owner: string): number {
    return (this.#here.get(owner) ?? 0) + (this.#elsewhere.get(owner) ?? 0);
  }

  add(owner: string, change: 1 | -1): void {
    const count = (this.#here.get(owner) ?? 0) + change;
    put(this.#here, owner, count);
    this.onChange(owner, count);
  }

  /** The number in the other processes. */
  setElsewhere(owner: string, count: number): void {
    put(this.#elsewhere, owner, count);
  }
}

/** Owners come from strangers, so those without sessions leave the map. */
function put(counts: Map<string, number>, owner: string, count: number): void {
  if (count === 0) counts.delete(owner);
  else counts.set(owner, count);
}

// The number of sessions of each owner in each worker.

export class SessionsOfWorkers<Worker> {
  readonly #byOwner = new Map<string, Map<Worker, number>>();

  set(worker: Worker, owner: string, count: number): void {
    const counts = this.#byOwner.get(owner) ?? new Map<Worker, number>();
    if (count > 0) this.#byOwner.set(owner, counts.set(worker, count));
    else if (counts.delete(worker) && counts.size === 0) this.#byOwner.delete(owner);
  }

  /** Those that have sessions. */
  get owners(): string[] {
    return [...this.#byOwner.keys()];
  }

  /** The sessions of this owner in all workers but this one. */
  besides(worker: Worker, owner: string): number {
    let sum = 0;
    for (const [each, count] of this.#byOwner.get(owner) ?? []) if (each !== worker) sum += count;
    return sum;
  }

  /** The worker is gone. Returns the owners of its sessions. */
  left(worker: Worker): string[] {
    const owners = [...this.#byOwner].filter(([, counts]) => counts.has(worker)).map(([owner]) => owner);
    for (const owner of owners) this.set(worker, owner, 0);
    return owners;
  }
}

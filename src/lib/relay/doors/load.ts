// The present load of this process. Each part that has connections adds itself.

export interface LoadSource {
  /** Open connections, each of which has a descriptor. */
  connections: () => number;
  /** The memory of its connections if they are idle. Default: not worth counting. */
  idleBytes?: () => number;
}

export class Load {
  readonly #sources: LoadSource[] = [];

  add(source: LoadSource): void {
    this.#sources.push(source);
  }

  get connections(): number {
    let sum = 0;
    for (const {connections} of this.#sources) sum += connections();
    return sum;
  }

  get idleBytes(): number {
    let sum = 0;
    for (const {idleBytes} of this.#sources) sum += idleBytes?.() ?? 0;
    return sum;
  }
}

// What this process carries for others at the moment. Each part that carries something adds itself.

export interface Carrier {
  /** Open connections, each of which has a descriptor. */
  connections: () => number;
  /** The memory of its connections if they are idle. Default: none that is worth counting. */
  idleBytes?: () => number;
}

export class Load {
  readonly #carriers: Carrier[] = [];

  add(carrier: Carrier): void {
    this.#carriers.push(carrier);
  }

  get connections(): number {
    let sum = 0;
    for (const {connections} of this.#carriers) sum += connections();
    return sum;
  }

  get idleBytes(): number {
    let sum = 0;
    for (const {idleBytes} of this.#carriers) sum += idleBytes?.() ?? 0;
    return sum;
  }
}

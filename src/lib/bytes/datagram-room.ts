// Memory for datagrams that wait, which many streams share.

export interface DatagramRoom {
  /** False: there is none for so many bytes. */
  take(bytes: number): boolean;
  give(bytes: number): void;
}

/** Room of a fixed size. */
export class FixedRoom implements DatagramRoom {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  give(bytes: number): void {
    this.#left += bytes;
  }
}

/** Room of a fixed size, of which each owner has a part at the most. */
export class SharedRoom {
  readonly #all: FixedRoom;
  readonly #mostOfOne: number;
  /** Only owners that have something waiting. */
  readonly #used = new Map<string, number>();

  constructor({most, mostOfOne}: {most: number; mostOfOne: number}) {
    this.#all = new FixedRoom(most);
    this.#mostOfOne = mostOfOne;
  }

  of(owner: string): DatagramRoom {
    return {take: (bytes) => this.#take(owner, bytes), give: (bytes) => this.#give(owner, bytes)};
  }

  #take(owner: string, bytes: number): boolean {
    const used = (this.#used.get(owner) ?? 0) + bytes;
    if (used > this.#mostOfOne || !this.#all.take(bytes)) return false;
    if (used > 0) this.#used.set(owner, used);
    return true;
  }

  #give(owner: string, bytes: number): void {
    const used = (this.#used.get(owner) ?? 0) - bytes;
    if (used > 0) this.#used.set(owner, used);
    else this.#used.delete(owner);
    this.#all.give(bytes);
  }
}

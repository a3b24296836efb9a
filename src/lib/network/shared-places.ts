// Places that several owners share. Each may have some; when all are taken, the owner with the most gives one up for somebody who
// has fewer. So many owners together cannot keep another one out.

export interface SharedPlacesOptions<T> {
  readonly most: number;
  readonly mostOfOne: number;
  /** Entries that are given up before older ones. */
  readonly isIdle?: (entry: T) => boolean;
  /** The entry has lost its place. */
  readonly onLost: (entry: T) => void;
}

export class SharedPlaces<T> {
  readonly #options: SharedPlacesOptions<T>;
  /** By owner; the oldest first. */
  readonly #entries = new Map<string, Set<T>>();
  #size = 0;

  constructor(options: SharedPlacesOptions<T>) {
    this.#options = options;
  }

  get size(): number {
    return this.#size;
  }

  /** False: there is no place. With one, `leave` must follow. */
  enter(owner: string, entry: T): boolean {
    const own = this.#entries.get(owner) ?? new Set();
    const loser = this.#loserFor(own);
    if (loser === undefined) return false;
    if (loser !== 'nobody') this.#giveUp(loser);
    own.add(entry);
    this.#entries.set(owner, own);
    this.#size += 1;
    return true;
  }

  /** Whether `enter` would find a place. */
  hasPlaceFor(owner: string): boolean {
    return this.#loserFor(this.#entries.get(owner) ?? new Set()) !== undefined;
  }

  /** Idempotent. */
  leave(owner: string, entry: T): void {
    const own = this.#entries.get(owner);
    if (!own?.delete(entry)) return;
    this.#size -= 1;
    if (own.size === 0) this.#entries.delete(owner);
  }

  /** The owner that gives a place up. Undefined: no one has so many that it would be fair. */
  #loserFor(own: Set<T>): Set<T> | 'nobody' | undefined {
    const {most, mostOfOne} = this.#options;
    if (own.size >= mostOfOne) return own;
    if (this.#size < most) return 'nobody';
    let largest = own;
    for (const each of this.#entries.values()) if (each.size > largest.size) largest = each;
    // With a difference of one they would take places from each other in turn.
    return largest.size > own.size + 1 ? largest : undefined;
  }

  #giveUp(entries: Set<T>): void {
    const {isIdle, onLost} = this.#options;
    const all = [...entries];
    const [oldest] = all;
    const lost = all.find((entry) => isIdle?.(entry)) ?? oldest;
    if (lost === undefined) return;
    entries.delete(lost);
    this.#size -= 1;
    onLost(lost);
  }
}

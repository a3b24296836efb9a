// Places that several owners share. Each may have some; when all are taken, the owner with the most gives one up for somebody who
// has fewer. So many owners together cannot keep another one out.

/** With a lead of one they would take places from each other in turn. */
const USUAL_LEAD = 2;

export interface SharedPlacesOptions<T> {
  readonly most: number;
  /** Default: `most`. */
  readonly mostOfOne?: number;
  /**
   * The owner with the most gives one up when it has at least so many more than the newcomer’s. 0: everybody comes in, for
   * entries whose honest ones need a place for a moment only. Default 2.
   */
  readonly lead?: number;
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
    const found = this.#placeFor(owner);
    if (found === undefined) return false;
    if (found.loser !== undefined) this.#giveUp(found.loser);
    const own = this.#entries.get(owner) ?? new Set();
    own.add(entry);
    this.#entries.set(owner, own);
    this.#size += 1;
    return true;
  }

  /** Whether `enter` would find a place. */
  hasPlaceFor(owner: string): boolean {
    return this.#placeFor(owner) !== undefined;
  }

  /** Idempotent. */
  leave(owner: string, entry: T): void {
    const own = this.#entries.get(owner);
    if (!own?.delete(entry)) return;
    this.#size -= 1;
    if (own.size === 0) this.#entries.delete(owner);
  }

  /** With the owner that gives it up, if it is not free. Undefined: no one has so many that it would be fair. */
  #placeFor(owner: string): {readonly loser?: string} | undefined {
    const {most, mostOfOne = most, lead = USUAL_LEAD} = this.#options;
    const own = this.#entries.get(owner)?.size ?? 0;
    if (own >= mostOfOne) return {loser: owner};
    if (this.#size < most) return {};
    let [loser, largest] = [owner, 0];
    for (const [each, {size}] of this.#entries) if (size > largest) [loser, largest] = [each, size];
    return largest >= own + lead ? {loser} : undefined;
  }

  #giveUp(owner: string): void {
    const {isIdle, onLost} = this.#options;
    const all = [...(this.#entries.get(owner) ?? [])];
    const [oldest] = all;
    const lost = all.find((entry) => isIdle?.(entry)) ?? oldest;
    if (lost === undefined) return;
    this.leave(owner, lost);
    onLost(lost);
  }
}

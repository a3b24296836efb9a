// Lets only so many sessions start at once, because each start keeps a core busy for seconds. Users take turns: a user who asks
// for many sessions waits behind those of others.

export interface QueueEntry {
  readonly id: string;
  readonly userId: string;
}

interface Waiting extends QueueEntry {
  readonly begin: () => void;
}

export class StartQueue {
  readonly #most: number;
  readonly #onMoved: () => void;
  readonly #running = new Map<string, string>();
  #waiting: Waiting[] = [];

  /** @param onMoved called when places in the queue have changed */
  constructor(most: number, onMoved: () => void = () => {}) {
    this.#most = most;
    this.#onMoved = onMoved;
  }

  get length(): number {
    return this.#waiting.length;
  }

  /** From 1; undefined: it does not wait. */
  placeOf(id: string): number | undefined {
    const at = this.#waiting.findIndex((each) => each.id === id);
    return at < 0 ? undefined : at + 1;
  }

  /** Resolves when it may start; then `leave` must follow. Rejects with the signal's reason. */
  async enter(entry: QueueEntry, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#running.size < this.#most && this.#waiting.length === 0) {
      this.#running.set(entry.id, entry.userId);
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const abort = () => {
        this.#waiting = this.#waiting.filter(({id}) => id !== entry.id);
        reject(signal?.reason);
        this.#onMoved();
      };
      signal?.addEventListener('abort', abort, {once: true});
      this.#waiting.push({
        ...entry,
        begin: () => {
          signal?.removeEventListener('abort', abort);
          resolve();
        },
      });
    });
  }

  /** The start has ended. */
  leave(id: string): void {
    if (!this.#running.delete(id)) return;
    while (this.#running.size < this.#most) {
      const next = this.#next();
      if (next === undefined) break;
      this.#running.set(next.id, next.userId);
      next.begin();
    }
    this.#onMoved();
  }

  /** The first one of the user with the fewest running starts. */
  #next(): Waiting | undefined {
    const busy = (userId: string) => [...this.#running.values()].filter((each) => each === userId).length;
    const least = Math.min(...this.#waiting.map(({userId}) => busy(userId)));
    const at = this.#waiting.findIndex(({userId}) => busy(userId) === least);
    return at < 0 ? undefined : this.#waiting.splice(at, 1)[0];
  }
}

// What ends with its owner, also when it is still being opened while the owner ends.

import {TunlError} from './errors.js';

export interface Closable {
  close(): Promise<void>;
}

export class Owned<T extends Closable> {
  readonly #all = new Set<T>();
  #isClosed = false;

  get all(): readonly T[] {
    return [...this.#all];
  }

  /** @throws TunlError CLOSED when the owner has ended */
  check(): void {
    if (this.#isClosed) throw new TunlError('CLOSED');
  }

  /** What opens while the owner ends is closed already when its caller gets it. @throws TunlError CLOSED; what `start` rejects with */
  async open<Opened extends T>(start: () => Promise<Opened>): Promise<Opened> {
    this.check();
    const opened = await start();
    if (this.#isClosed) await opened.close();
    else this.#all.add(opened);
    return opened;
  }

  /** It ends at once when the owner has ended. */
  add(one: T): void {
    this.#all.add(one);
    if (this.#isClosed) void one.close();
  }

  /** It has ended by itself. */
  delete(one: T): void {
    this.#all.delete(one);
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.all.map((one) => one.close()));
  }
}

// The open streams of a session by their ids.
//
// The Map holds only numbers, and the streams are in an array whose places are reused: core/linked-list.ts explains the cost
// of a Map of short-lived objects.

import type {Stream} from './stream.js';

export class StreamTable {
  readonly #places = new Map<number, number>();
  #streams: (Stream | undefined)[] = [];
  #free: number[] = [];

  get size(): number {
    return this.#places.size;
  }

  get(id: number): Stream | undefined {
    const place = this.#places.get(id);
    return place === undefined ? undefined : this.#streams[place];
  }

  add(stream: Stream): void {
    const place = this.#free.pop() ?? this.#streams.length;
    this.#streams[place] = stream;
    this.#places.set(stream.id, place);
  }

  delete(id: number): void {
    const place = this.#places.get(id);
    if (place === undefined) return;
    this.#places.delete(id);
    if (this.#places.size === 0) {
      this.clear();
      return;
    }
    this.#streams[place] = undefined;
    this.#free.push(place);
  }

  clear(): void {
    this.#places.clear();
    this.#streams = [];
    this.#free = [];
  }

  /** In the order in which the ids arrived. Streams may come and go meanwhile. */
  all(): Stream[] {
    return Array.from(this.#places.values(), (place) => this.#streams[place] as Stream);
  }
}

// Datagrams that come before there is a way to pass them on. Those that find no room are lost, as on every network.

import {OBJECT_BYTES} from './datagram-stream.js';

/** Each datagram counts with the memory of its object, so empty ones are bounded too. */
const MOST_BYTES = 64 * 1024;

export class EarlyDatagrams {
  #kept: Buffer[] = [];
  #bytes = 0;

  /** Keeps a copy. */
  add(datagram: Buffer): void {
    const bytes = datagram.length + OBJECT_BYTES;
    // The longest datagram has room when it is the first one.
    if (this.#kept.length > 0 && this.#bytes + bytes > MOST_BYTES) return;
    this.#bytes += bytes;
    this.#kept.push(Buffer.from(datagram));
  }

  /** Nothing is kept afterwards. */
  take(): Buffer[] {
    const kept = this.#kept;
    this.#kept = [];
    this.#bytes = 0;
    return kept;
  }
}

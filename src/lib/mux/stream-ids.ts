// Which stream ids are whose: each side opens its own in rising order, and none comes back.

import {LIMITS} from '../protocol/wire.js';

/** Who opens odd stream ids (the relay) and even ones (the agent). */
export type SessionRole = 'agent' | 'relay';

export class StreamIds {
  readonly #peersAreOdd: boolean;
  #next: number;
  #lastOfPeer: number;

  constructor(role: SessionRole) {
    this.#peersAreOdd = role === 'agent';
    this.#next = role === 'relay' ? 1 : 2;
    this.#lastOfPeer = role === 'relay' ? 0 : -1;
  }

  /** The id of the next stream that is opened here. Undefined: all were used. */
  take(): number | undefined {
    if (this.#next > LIMITS.maxStreamId) return undefined;
    const id = this.#next;
    this.#next += 2;
    return id;
  }

  /** The peer opens a stream by this id. False: it is not the peer's, or was used before. */
  admit(id: number): boolean {
    if (!this.#isPeers(id) || id <= this.#lastOfPeer) return false;
    this.#lastOfPeer = id;
    return true;
  }

  /** Whether there was such a stream, on either side; an id that was left out counts as well. */
  wasOpened(id: number): boolean {
    return this.#isPeers(id) ? id <= this.#lastOfPeer : id < this.#next;
  }

  #isPeers(id: number): boolean {
    return (id % 2 === 1) === this.#peersAreOdd;
  }
}

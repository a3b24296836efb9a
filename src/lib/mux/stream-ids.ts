// Stream ids: each side opens its own in rising order, and no id is used twice.

import {LIMITS} from '../protocol/wire.js';

/** The relay opens odd stream ids, the agent even ones. */
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

  /** The id for the next stream of this side. Undefined: all ids are used. */
  take(): number | undefined {
    if (this.#next > LIMITS.maxStreamId) return undefined;
    const id = this.#next;
    this.#next += 2;
    return id;
  }

  /** Takes an id that the peer opens. Returns false when it is not one of the peer's, or was used before. */
  admit(id: number): boolean {
    if (!this.#isPeers(id) || id <= this.#lastOfPeer) return false;
    this.#lastOfPeer = id;
    return true;
  }

  /** True when an id is not new, on either side; a skipped id counts too. */
  wasOpened(id: number): boolean {
    return this.#isPeers(id) ? id <= this.#lastOfPeer : id < this.#next;
  }

  #isPeers(id: number): boolean {
    return (id % 2 === 1) === this.#peersAreOdd;
  }
}

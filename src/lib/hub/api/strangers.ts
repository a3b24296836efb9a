// The connections of a hub that serve no known caller now: no token was shown yet, or the last answer is over. They have half of the
// hub's places, so that somebody with a token always finds one; when another one comes, the oldest of the address with the most ends.

import type {Socket} from 'node:net';
import {SharedPlaces} from '../../core/shared-places.js';
import {sourceOf} from '../../net/source-of.js';

export class Strangers {
  readonly #places: SharedPlaces<Socket>;
  readonly #sources = new Map<Socket, string>();

  constructor(most: number) {
    // A caller with a token is a stranger for a moment only.
    this.#places = new SharedPlaces({most, lead: 0, onLost: (socket) => socket.destroy()});
  }

  /** `delete` must follow when the connection is closed. Idempotent. */
  add(socket: Socket, address: string): void {
    if (socket.destroyed || this.#sources.has(socket)) return;
    const source = sourceOf(address);
    this.#sources.set(socket, source);
    this.#places.enter(source, socket);
  }

  /** Idempotent. */
  delete(socket: Socket): void {
    const source = this.#sources.get(socket);
    if (source === undefined) return;
    this.#sources.delete(socket);
    this.#places.leave(source, socket);
  }
}

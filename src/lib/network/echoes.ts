// Echoes for other members: what they send to show that this one is there goes back as it came. It needs no namespace.

import {SharedRoom} from '../bytes/datagram-room.js';
import {DatagramStream} from '../bytes/datagram-stream.js';
import {DatagramTurns} from '../bytes/datagram-turns.js';
import {systemClock} from '../core/clock.js';
import type {Stream} from '../mux/stream.js';
import type {MemberId} from './connections.js';
import {SharedPlaces} from './shared-places.js';

/** At once: those of all members, and of one. The oldest gives way. */
const MOST = 1_024;
const MOST_OF_ONE = 64;
/** Answers that may wait for members that do not read. */
const MEMBER_BYTES = 256 * 1024;
const ALL_BYTES = 4 * 1024 * 1024;

export class Echoes {
  readonly #turns = new DatagramTurns(systemClock);
  readonly #room = new SharedRoom({most: ALL_BYTES, mostOfOne: MEMBER_BYTES});
  readonly #places = new SharedPlaces<DatagramStream>({
    most: MOST,
    mostOfOne: MOST_OF_ONE,
    onLost: (datagrams) => datagrams.end(),
  });

  take(stream: Stream, {address}: MemberId): void {
    const datagrams: DatagramStream = new DatagramStream(stream, {
      turns: this.#turns,
      room: this.#room.of(address),
      onDatagram: (datagram) => datagrams.send(datagram),
      onOver: () => this.#places.leave(address, datagrams),
    });
    if (this.#places.enter(address, datagrams)) stream.accept();
    else {
      stream.refuse('TOO_MANY_STREAMS');
      datagrams.onReset('TOO_MANY_STREAMS');
    }
  }
}

// Streams of datagrams that other members open: their number and the memory of their answers are bounded, for one member and in all.

import {SharedRoom} from '../bytes/datagram-room.js';
import {DatagramStream, type DatagramStreamOptions} from '../bytes/datagram-stream.js';
import {DatagramTurns} from '../bytes/datagram-turns.js';
import {systemClock} from '../core/clock.js';
import {SharedPlaces} from '../core/shared-places.js';
import type {Stream} from '../mux/stream.js';
import type {MemberId} from './connections.js';

export interface MemberFlowsOptions {
  /** Flows at once. The oldest of the member with the most gives way. */
  readonly most: number;
  readonly mostOfOne: number;
  /** Answers that may wait for members that do not read. */
  readonly bytes: number;
  readonly bytesOfOne: number;
}

export class MemberFlows {
  readonly #turns = new DatagramTurns(systemClock);
  readonly #room: SharedRoom;
  readonly #places: SharedPlaces<DatagramStream>;

  constructor({most, mostOfOne, bytes, bytesOfOne}: MemberFlowsOptions) {
    this.#room = new SharedRoom({most: bytes, mostOfOne: bytesOfOne});
    this.#places = new SharedPlaces({most, mostOfOne, onLost: (datagrams) => datagrams.end()});
  }

  /** Neither accepts nor refuses the stream. */
  begin(
    stream: Stream,
    {address}: Pick<MemberId, 'address'>,
    {onDatagram, onOver}: Pick<DatagramStreamOptions, 'onDatagram' | 'onOver'>,
  ): DatagramStream {
    const datagrams: DatagramStream = new DatagramStream(stream, {
      ...{turns: this.#turns, room: this.#room.of(address), onDatagram},
      onOver: (code, message) => {
        this.#places.leave(address, datagrams);
        onOver(code, message);
      },
    });
    return datagrams;
  }

  /** Accepts the stream, or refuses it when there is no place for the member. */
  enter(datagrams: DatagramStream, {address}: Pick<MemberId, 'address'>): void {
    if (this.#places.enter(address, datagrams)) datagrams.stream.accept();
    else this.refuse(datagrams, 'TOO_MANY_STREAMS', 'The member has too many flows of UDP.');
  }

  refuse(datagrams: DatagramStream, ...[code, message]: Parameters<Stream['refuse']>): void {
    datagrams.stream.refuse(code, message);
    datagrams.onReset(code);
  }
}

// Echoes for other members: what they send to show that this one is there goes back as it came. It needs no namespace.

import type {DatagramStream} from '../bytes/datagram-stream.js';
import type {Stream} from '../mux/stream.js';
import type {MemberId} from './connections.js';
import {MemberFlows} from './member-flows.js';

export class Echoes {
  readonly #flows = new MemberFlows({
    most: 1_024,
    mostOfOne: 64,
    bytes: 4 * 1024 * 1024,
    bytesOfOne: 256 * 1024,
  });

  take(stream: Stream, from: MemberId): void {
    const datagrams: DatagramStream = this.#flows.begin(stream, from, {
      onDatagram: (datagram) => datagrams.send(datagram),
      onOver: () => {},
    });
    this.#flows.enter(datagrams, from);
  }
}

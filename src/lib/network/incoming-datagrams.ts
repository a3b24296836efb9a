// Flows of UDP that other members begin, and that end in the sealed network of this one.

import {SharedRoom} from '../bytes/datagram-room.js';
import {DatagramStream} from '../bytes/datagram-stream.js';
import {DatagramTurns} from '../bytes/datagram-turns.js';
import {systemClock} from '../core/clock.js';
import type {Stream} from '../mux/stream.js';
import type {Seal} from '../seal/seal.js';
import type {WayIn} from '../seal/udp/incoming-flows.js';
import type {MemberId} from './connections.js';
import type {FlowPorts} from './peer-messages.js';
import {SharedPlaces} from './shared-places.js';

/** Takes over an offered stream, and accepts or refuses it. */
export type TakeFlow = (stream: Stream, from: MemberId, ports: FlowPorts) => void;

/** For a member whose ports are those of its machine. A program could not see the sender. */
export const takesNoFlow: TakeFlow = (stream) =>
  stream.refuse('KIND_UNKNOWN', 'The member takes no UDP: it only serves ports of its machine.');

export interface IncomingDatagramsOptions {
  /** Undefined: it is not open yet. */
  readonly seal: () => Pick<Seal, 'udp' | 'takeFlow'> | undefined;
  readonly allows?: ((from: MemberId, port: number) => boolean) | undefined;
}

/** Flows at once. A member alone may have all; it gives places up when others come, the oldest first. */
const MOST_FLOWS = 1_024;
/** Answers that may wait for members that do not read. */
const MEMBER_BYTES = 2 * 1024 * 1024;
const ALL_BYTES = 16 * 1024 * 1024;

export class IncomingDatagrams {
  readonly #options: IncomingDatagramsOptions;
  readonly #turns = new DatagramTurns(systemClock);
  readonly #room = new SharedRoom({most: ALL_BYTES, mostOfOne: MEMBER_BYTES});
  readonly #places = new SharedPlaces<DatagramStream>({
    most: MOST_FLOWS,
    mostOfOne: MOST_FLOWS,
    onLost: (datagrams) => datagrams.end(),
  });

  constructor(options: IncomingDatagramsOptions) {
    this.#options = options;
  }

  readonly take: TakeFlow = (stream, from, ports) => {
    const {allows, seal: find} = this.#options;
    if (allows?.(from, ports.port) === false) {
      stream.refuse('NOT_ALLOWED', `This member takes no UDP of yours at port ${ports.port}.`);
      return;
    }
    const seal = find();
    if (seal === undefined) {
      stream.refuse('UPSTREAM_REFUSED');
      return;
    }
    let way: WayIn | undefined;
    const datagrams = new DatagramStream(stream, {
      turns: this.#turns,
      room: this.#room.of(from.address),
      onDatagram: (datagram) => way?.deliver(datagram),
      onOver: (code) => {
        this.#places.leave(from.address, datagrams);
        way?.over(code === 'UPSTREAM_REFUSED' ? 'port' : undefined);
      },
    });
    way = seal.takeFlow(
      {address: from.address, ...ports},
      {
        send: (datagram) => datagrams.send(datagram),
        refuse: () => datagrams.reset('UPSTREAM_REFUSED'),
        end: () => datagrams.end(),
        finish: () => datagrams.finish(),
      },
    );
    if (way === undefined) {
      const {udp} = seal;
      const why = typeof udp === 'object' ? ` ${udp.why}` : '';
      stream.refuse('KIND_UNKNOWN', `The member takes no UDP.${why}`);
      datagrams.onReset('KIND_UNKNOWN');
    } else if (this.#places.enter(from.address, datagrams)) stream.accept();
    else {
      stream.refuse('TOO_MANY_STREAMS', 'The member has too many flows of UDP.');
      datagrams.onReset('TOO_MANY_STREAMS');
    }
  };
}

// Flows of UDP that other members begin, and that end in the sealed network of this one.

import type {Stream} from '../mux/stream.js';
import type {Seal} from '../seal/seal.js';
import type {WayIn} from '../seal/udp/incoming-flows.js';
import type {MemberId} from './connections.js';
import {MemberFlows} from './member-flows.js';
import type {FlowPorts} from './peer-messages.js';

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

/** A member alone may have all flows; it gives places up when others come. */
const MOST_FLOWS = 1_024;
const MEMBER_BYTES = 2 * 1024 * 1024;
const ALL_BYTES = 16 * 1024 * 1024;

export class IncomingDatagrams {
  readonly #options: IncomingDatagramsOptions;
  readonly #flows = new MemberFlows({
    ...{most: MOST_FLOWS, mostOfOne: MOST_FLOWS},
    ...{bytes: ALL_BYTES, bytesOfOne: MEMBER_BYTES},
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
    const datagrams = this.#flows.begin(stream, from, {
      onDatagram: (datagram) => way?.deliver(datagram),
      onOver: (code) => way?.over(code === 'UPSTREAM_REFUSED' ? 'port' : undefined),
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
    if (way !== undefined) {
      this.#flows.enter(datagrams, from);
      return;
    }
    const {udp} = seal;
    const why = typeof udp === 'object' ? ` ${udp.why}` : '';
    this.#flows.refuse(datagrams, 'KIND_UNKNOWN', `The member takes no UDP.${why}`);
  };
}

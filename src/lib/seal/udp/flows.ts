// The flows of UDP of a sealed network: each has a port of a program and one destination, and a way out of its own.

import {addressText} from '../../net/address-bytes.js';
import type {MemberTarget, OuterTarget} from '../passage.js';
import type {IncomingFlows} from './incoming-flows.js';
import {
  answerPacket,
  ECHO_PORT,
  echoAnswer,
  type FlowEnds,
  flowKey,
  keptEnds,
  readEcho,
  readUdpPacket,
  type UdpPacket,
  type Unreachable,
  unreachablePacket,
} from './packets.js';

/** A destination of datagrams. `family`: that of the address that the program used; `from`: its port. */
export type DatagramTarget<T extends OuterTarget | MemberTarget = OuterTarget> = T & {
  readonly family: 4 | 6;
  readonly from: number;
};

/** The end of a way out. `answer`: what the program is told. `error`: for people. */
export interface WayEnd {
  readonly answer: Unreachable | undefined;
  readonly error?: unknown;
}

export interface WayOutEvents {
  /** From the destination. */
  onDatagram: (datagram: Buffer) => void;
  /** The relay, or whoever it is, is ready to send. */
  onOpened: () => void;
  /** The last call. */
  onEnded: (end: WayEnd) => void;
}

export interface WayOut {
  /** May be lost. The bytes are used before this returns. */
  send(datagram: Buffer): void;
  /** Without `onEnded`. */
  end(): void;
  /** The program does not listen any more, and the destination may hear it. Without `onEnded`. */
  refuse(): void;
  /** Ends it behind what waits. Resolves when the other side has taken everything, or it is over. */
  finish(): Promise<void>;
}

/** Opens a way out for one flow. Datagrams may be sent at once. */
export type DatagramsOut<T extends OuterTarget | MemberTarget = OuterTarget> = (
  target: DatagramTarget<T>,
  events: WayOutEvents,
) => WayOut;

export interface UdpFlowsOptions {
  /** Undefined: programs may not send there. */
  readonly targetOf: (address: string, port: number) => OuterTarget | MemberTarget | undefined;
  readonly out: DatagramsOut<OuterTarget | MemberTarget>;
  /** Flows that others have begun: programs answer in them. */
  readonly incoming?: Pick<IncomingFlows, 'answer'> | undefined;
  /** A packet for a program. */
  readonly onPacket: (packet: Buffer) => void;
  readonly onUnreachable: (host: string, port: number, error: unknown) => void;
  readonly now: () => number;
}

/** At once. The one whose program has sent nothing for the longest time gives way. */
const MOST_FLOWS = 1_024;
/** A flow has no end of its own, so a rest is taken for one. */
const IDLE_MS = 60_000;
/** A destination that was refused is not asked for again at once. */
const REFUSED_MS = 500;

interface Flow {
  readonly ends: FlowEnds;
  way: WayOut | undefined;
  isOpened: boolean;
  lastAt: number;
  /** It was refused, and what the program is told until this time. */
  refused: {readonly answer: Unreachable | undefined; readonly until: number} | undefined;
}

export class UdpFlows {
  readonly #options: UdpFlowsOptions;
  /** The one whose program has sent nothing for the longest time first. */
  readonly #flows = new Map<string, Flow>();
  #onOpened = (): void => {};

  constructor(options: UdpFlowsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#flows.size;
  }

  /** Flows whose first datagrams may still wait for the way out. */
  get opening(): number {
    let count = 0;
    for (const {way, isOpened} of this.#flows.values()) if (way !== undefined && !isOpened) count += 1;
    return count;
  }

  /** Resolves when no flow is opening any more. */
  async allOpened(): Promise<void> {
    if (this.opening === 0) return;
    await new Promise<void>((resolve) => {
      this.#onOpened = () => this.opening === 0 && resolve();
    });
  }

  /** A packet of a program. Nothing that it can hold does harm. */
  take(packet: Buffer): void {
    const datagram = readDatagram(packet) ?? readEcho(packet);
    if (datagram === undefined) return;
    const key = flowKey(datagram);
    if (this.#options.incoming?.answer(key, datagram.payload)) return;
    const now = this.#options.now();
    let flow = this.#flows.get(key);
    if (flow?.refused !== undefined) {
      if (now < flow.refused.until) {
        this.#tell(flow.ends, flow.refused.answer);
        return;
      }
      this.#flows.delete(key);
      flow = undefined;
    }
    flow ??= this.#begin(key, keptEnds(datagram), now);
    flow.lastAt = now;
    this.#flows.delete(key);
    this.#flows.set(key, flow);
    flow.way?.send(datagram.payload);
  }

  /** The program of this flow does not listen to the answers any more. */
  refuse(key: string): void {
    const flow = this.#flows.get(key);
    if (flow?.way === undefined) return;
    this.#flows.delete(key);
    flow.way.refuse();
    this.#onOpened();
  }

  /** Resolves when the destinations' side has what programs have sent. Nothing more is sent in these flows. */
  async finish(): Promise<void> {
    await Promise.all([...this.#flows.values()].map(({way}) => way?.finish()));
  }

  /** Ends flows in which nothing has moved for a long time. To be called now and then. */
  sweep(): void {
    const before = this.#options.now() - IDLE_MS;
    for (const [key, {lastAt}] of this.#flows) if (lastAt <= before) this.#drop(key);
  }

  /** Every flow ends. */
  close(): void {
    for (const key of [...this.#flows.keys()]) this.#drop(key);
  }

  #begin(key: string, ends: FlowEnds, now: number): Flow {
    const [oldest] = this.#flows.keys();
    if (this.#flows.size >= MOST_FLOWS && oldest !== undefined) this.#drop(oldest);
    const flow: Flow = {ends, way: undefined, isOpened: false, lastAt: now, refused: undefined};
    this.#flows.set(key, flow);
    const {targetOf, out, onPacket, onUnreachable} = this.#options;
    const {destination, destinationPort: port, sourcePort: from} = ends;
    const target = targetOf(addressText(destination), port);
    if (target === undefined) {
      this.#refuse(flow, 'forbidden');
      return flow;
    }
    let hasEnded = false;
    const way = out(
      {...target, family: destination.length === 4 ? 4 : 6, from},
      {
        onDatagram: (datagram) => {
          if (flow.way === undefined) return;
          const packet = (port === ECHO_PORT ? echoAnswer : answerPacket)(ends, datagram);
          if (packet === undefined) return;
          flow.lastAt = this.#options.now();
          onPacket(packet);
        },
        onOpened: () => {
          flow.isOpened = true;
          this.#onOpened();
        },
        onEnded: ({answer, error}) => {
          hasEnded = true;
          flow.way = undefined;
          if (error !== undefined)
            onUnreachable(target.kind === 'name' ? target.name : target.address, port, error);
          // An orderly end: the next datagram begins another flow.
          if (answer === undefined && error === undefined) {
            if (this.#flows.get(key) === flow) this.#flows.delete(key);
          } else this.#refuse(flow, answer);
          this.#onOpened();
        },
      },
    );
    if (!hasEnded) flow.way = way;
    return flow;
  }

  #refuse(flow: Flow, answer: Unreachable | undefined): void {
    flow.refused = {answer, until: this.#options.now() + REFUSED_MS};
    this.#tell(flow.ends, answer);
  }

  #tell(ends: FlowEnds, answer: Unreachable | undefined): void {
    // Programs that ask a member whether it is there wait, and get no answer.
    if (answer !== undefined && ends.destinationPort !== ECHO_PORT)
      this.#options.onPacket(unreachablePacket(ends, answer));
  }

  #drop(key: string): void {
    const way = this.#flows.get(key)?.way;
    this.#flows.delete(key);
    way?.end();
    this.#onOpened();
  }
}

/** Undefined: it is none, or without a port to answer to. */
function readDatagram(packet: Buffer): UdpPacket | undefined {
  const datagram = readUdpPacket(packet);
  return datagram?.destinationPort === 0 || datagram?.sourcePort === 0 ? undefined : datagram;
}

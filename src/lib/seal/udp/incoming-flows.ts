// Flows of UDP that other members of a private network have begun: their datagrams enter as packets, and the answers of programs
// go back the same way.

import {addressBytes} from '../../net/address-bytes.js';
import {type FlowEnds, flowKey, reversed, type Unreachable, udpPacket, unreachablePacket} from './packets.js';

export interface IncomingFlow {
  /** The other member. */
  readonly address: string;
  /** Its port. */
  readonly from: number;
  /** The port of the program here. */
  readonly port: number;
}

/** To the member that has begun the flow. */
export interface WayBack {
  /** May be lost. The bytes are used before this returns. */
  send(datagram: Buffer): void;
  /** Nobody listens here. No event of the way follows. */
  refuse(): void;
  /** No event of the way follows. */
  end(): void;
  /** Ends it behind what waits. Resolves when the member has everything. */
  finish(): Promise<void>;
}

/** Into the namespace. */
export interface WayIn {
  /** May be lost. The bytes are used before this returns. */
  deliver(datagram: Buffer): void;
  /** The way back is over. @param answer what the program is told */
  over(answer?: Unreachable): void;
}

export interface IncomingFlowsOptions {
  /** The own address. Undefined: nothing comes in. */
  readonly own: string | undefined;
  /** A packet for a program. */
  readonly onPacket: (packet: Buffer) => void;
  readonly now: () => number;
}

/** A flow has no end of its own, so a rest is taken for one. */
const IDLE_MS = 60_000;

interface Incoming {
  readonly back: WayBack;
  lastAt: number;
}

export class IncomingFlows {
  readonly #options: IncomingFlowsOptions;
  readonly #own: Buffer | undefined;
  /** By the key of the program's answers. */
  readonly #flows = new Map<string, Incoming>();

  constructor(options: IncomingFlowsOptions) {
    this.#options = options;
    this.#own = options.own === undefined ? undefined : addressBytes(options.own);
  }

  get size(): number {
    return this.#flows.size;
  }

  /** Undefined: nothing comes in. The caller limits the number of flows. */
  enter({address, from, port}: IncomingFlow, back: WayBack): WayIn | undefined {
    const source = addressBytes(address);
    if (this.#own === undefined || source?.length !== this.#own.length) return undefined;
    const ends: FlowEnds = {source, sourcePort: from, destination: this.#own, destinationPort: port};
    const answers = reversed(ends);
    const key = flowKey(answers);
    const {onPacket, now} = this.#options;
    const flow: Incoming = {back, lastAt: now()};
    // The member has begun it again.
    this.#flows.get(key)?.back.end();
    this.#flows.set(key, flow);
    const isHere = () => this.#flows.get(key) === flow;
    return {
      deliver: (datagram) => {
        if (!isHere()) return;
        flow.lastAt = now();
        const packet = udpPacket(ends, datagram);
        if (packet !== undefined) onPacket(packet);
      },
      over: (answer) => {
        if (!isHere()) return;
        this.#flows.delete(key);
        if (answer !== undefined) onPacket(unreachablePacket(answers, answer));
      },
    };
  }

  /** A datagram of a program. False: it is no answer to any of these flows. */
  answer(key: string, datagram: Buffer): boolean {
    const flow = this.#flows.get(key);
    if (flow === undefined) return false;
    flow.lastAt = this.#options.now();
    flow.back.send(datagram);
    return true;
  }

  /** Nobody listens at the port of this flow. */
  refuse(key: string): void {
    const flow = this.#flows.get(key);
    this.#flows.delete(key);
    flow?.back.refuse();
  }

  /** Ends flows in which nothing has moved for a long time. To be called now and then. */
  sweep(): void {
    const before = this.#options.now() - IDLE_MS;
    for (const [key, {lastAt}] of this.#flows) if (lastAt <= before) this.#drop(key);
  }

  /** Resolves when the other members have what programs have sent to them. */
  async finish(): Promise<void> {
    await Promise.all([...this.#flows.values()].map(({back}) => back.finish()));
  }

  close(): void {
    for (const key of [...this.#flows.keys()]) this.#drop(key);
  }

  #drop(key: string): void {
    const flow = this.#flows.get(key);
    this.#flows.delete(key);
    flow?.back.end();
  }
}

// The flows of datagrams by egress: takes streams of kind `datagram`, and ends the flows in which nothing moves.

import {SharedRoom} from '../../bytes/datagram-room.js';
import {DatagramTurns} from '../../bytes/datagram-turns.js';
import type {Clock, Timer} from '../../core/clock.js';
import {parseDatagramOpen} from '../../protocol/egress-messages.js';
import type {ScopeOfStream, StreamBounds} from '../agents/opened-streams.js';
import {DatagramFlow, type DatagramFlowOptions} from './datagram-flow.js';
import type {EgressSet} from './egress-set.js';
import type {LocalPorts} from './local-ports.js';

/** A flow has no end of its own, so a rest is taken for one. */
const IDLE_MS = 60_000;
const LOOK_EVERY_MS = 5_000;
/** Datagrams that may wait for agents that do not read: those of one owner, and all. */
const OWNER_BYTES = 8 * 1024 * 1024;
const ALL_BYTES = 64 * 1024 * 1024;

/** The parts of a flow that are the same for all of them. */
type OfAll = 'turns' | 'room' | 'ports' | 'clock';

export type FlowOptions = Omit<DatagramFlowOptions, OfAll>;

export class Datagrams {
  readonly #clock: Clock;
  readonly #ports: LocalPorts;
  readonly #turns: DatagramTurns;
  readonly #room = new SharedRoom({most: ALL_BYTES, mostOfOne: OWNER_BYTES});
  readonly #open = new Set<DatagramFlow>();
  #timer: Timer | undefined;

  constructor({clock, ports}: {clock: Clock; ports: LocalPorts}) {
    this.#clock = clock;
    this.#ports = ports;
    this.#turns = new DatagramTurns(clock);
  }

  get open(): ReadonlySet<DatagramFlow> {
    return this.#open;
  }

  begin(options: FlowOptions): void {
    const {owner} = options.opener.principal;
    const flow = new DatagramFlow({
      ...options,
      clock: this.#clock,
      ports: this.#ports,
      turns: this.#turns,
      room: this.#room.of(owner),
      onOver: () => {
        this.#open.delete(flow);
        options.onOver();
      },
    });
    this.#open.add(flow);
    this.#timer ??= this.#clock.after(LOOK_EVERY_MS, this.#look);
    void flow.run();
  }

  /** Flows that the settings of now do not allow are reset. @param setOf the egress of a name; undefined: there is none */
  recheck(setOf: (name: string) => EgressSet | undefined): void {
    for (const flow of [...this.#open]) flow.recheck(setOf(flow.egress));
  }

  close(): void {
    this.#timer?.cancel();
    for (const flow of [...this.#open]) flow.cut('DRAINING');
  }

  readonly #look = (): void => {
    this.#timer = undefined;
    const before = this.#clock.now() - IDLE_MS;
    for (const flow of [...this.#open]) if (flow.lastAt <= before) flow.end();
    if (this.#open.size > 0) this.#timer = this.#clock.after(LOOK_EVERY_MS, this.#look);
  };
}

/** Each flow has a socket. */
export const DATAGRAM_BOUNDS: StreamBounds = {most: 2_048, burst: 1_024, perSecond: 100};

/** The scope that a stream needs. */
export const datagramScope: ScopeOfStream = (about) => {
  const {egress, host, port} = parseDatagramOpen(about);
  return ['egress', egress, {host, port}];
};

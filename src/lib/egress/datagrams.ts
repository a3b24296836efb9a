// Flows of UDP by an egress, as the sealed network of a command opens them.

import {streamCodeOf} from '../agent/refused-stream.js';
import {DatagramStream, FixedRoom} from '../bytes/datagram-stream.js';
import {DatagramTurns} from '../bytes/datagram-turns.js';
import {systemClock} from '../core/clock.js';
import type {StreamCode} from '../protocol/wire.js';
import type {DatagramsOut, DatagramTarget, WayOut, WayOutEvents} from '../seal/udp/flows.js';
import type {Unreachable} from '../seal/udp/packets.js';
import {type EgressClient, egressRefusal} from './client.js';

/** Datagrams of all flows that wait for the link and for the relay. */
const ROOM_BYTES = 16 * 1024 * 1024;
/** Datagrams of one flow that wait for its stream. */
const MOST_EARLY_BYTES = 64 * 1024;

/** The answer for the program: an ICMP message, or nothing. */
const ANSWERS: {readonly [code in StreamCode]?: Unreachable} = {
  UPSTREAM_REFUSED: 'port',
  EGRESS_FORBIDDEN: 'forbidden',
  EGRESS_UNKNOWN: 'forbidden',
  NOT_ALLOWED: 'forbidden',
  NAME_UNKNOWN: 'forbidden',
  UNREACHABLE: 'forbidden',
  KIND_UNKNOWN: 'forbidden',
};

/** Their ends are the program's business: it asked for a port where nobody listens. */
const QUIET: readonly StreamCode[] = ['UPSTREAM_REFUSED', 'SESSION_ENDED', 'CANCELLED'];

interface Shared {
  readonly turns: DatagramTurns;
  readonly room: FixedRoom;
}

/** The client may be still on its way. */
export function datagramsByEgress(opening: Promise<EgressClient>): DatagramsOut {
  const shared: Shared = {turns: new DatagramTurns(systemClock), room: new FixedRoom(ROOM_BYTES)};
  return (target, events) => new EgressFlow(opening, shared, target, events);
}

class EgressFlow implements WayOut {
  readonly #events: WayOutEvents;
  readonly #target: DatagramTarget;
  readonly #abort = new AbortController();
  #early: Buffer[] = [];
  #earlyBytes = 0;
  #datagrams: DatagramStream | undefined;
  #hasEnded = false;

  constructor(opening: Promise<EgressClient>, shared: Shared, target: DatagramTarget, events: WayOutEvents) {
    this.#events = events;
    this.#target = target;
    opening
      .then((client) => this.#open(client, shared))
      .catch((error: unknown) => this.#ended({answer: answerOf(error), error}));
  }

  send(datagram: Buffer): void {
    if (this.#datagrams !== undefined) {
      this.#datagrams.send(datagram);
      return;
    }
    if (this.#hasEnded || this.#earlyBytes + datagram.length > MOST_EARLY_BYTES) return;
    this.#earlyBytes += datagram.length;
    this.#early.push(Buffer.from(datagram));
  }

  end(): void {
    this.#hasEnded = true;
    this.#early = [];
    this.#abort.abort();
    this.#datagrams?.end();
  }

  async #open(client: EgressClient, {turns, room}: Shared): Promise<void> {
    if (this.#hasEnded) return;
    const {port, family} = this.#target;
    const host = this.#target.kind === 'name' ? this.#target.name : this.#target.address;
    await client.openDatagrams(
      {host, port, family},
      {
        signal: this.#abort.signal,
        onOpen: (stream) => {
          this.#datagrams = new DatagramStream(stream, {
            ...{turns, room},
            onDatagram: (datagram) => this.#events.onDatagram(datagram),
            onOpened: () => this.#events.onOpened(),
            onOver: (code, message) => {
              if (code === undefined) this.#ended({answer: undefined});
              else this.#ended(endOf(code, egressRefusal(code, message, {host, port})));
            },
          });
          for (const datagram of this.#early.splice(0)) this.#datagrams.send(datagram);
        },
      },
    );
  }

  #ended(end: Parameters<WayOutEvents['onEnded']>[0]): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#early = [];
    this.#events.onEnded(end);
  }
}

function endOf(code: StreamCode, error: unknown): Parameters<WayOutEvents['onEnded']>[0] {
  const answer = ANSWERS[code];
  return QUIET.includes(code) ? {answer} : {answer, error};
}

function answerOf(error: unknown): Unreachable | undefined {
  const code = streamCodeOf(error);
  return code === undefined ? undefined : ANSWERS[code];
}

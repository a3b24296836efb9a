// Flows of UDP by an egress, as the sealed network of a command opens them.

import {streamCodeOf} from '../agent/refused-stream.js';
import {FixedRoom} from '../bytes/datagram-room.js';
import {DatagramTurns} from '../bytes/datagram-turns.js';
import {systemClock} from '../core/clock.js';
import type {StreamCode} from '../protocol/wire.js';
import type {DatagramsOut, WayEnd} from '../seal/udp/flows.js';
import type {Unreachable} from '../seal/udp/packets.js';
import {StreamWay} from '../seal/udp/stream-way.js';
import {type EgressClient, egressRefusal} from './client.js';

/** Datagrams of all flows that wait for the link and for the relay. */
const ROOM_BYTES = 16 * 1024 * 1024;

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

/** The client may be still on its way. */
export function datagramsByEgress(opening: Promise<EgressClient>): DatagramsOut {
  const shared = {turns: new DatagramTurns(systemClock), room: new FixedRoom(ROOM_BYTES)};
  return (target, events) => {
    const {port, family} = target;
    const host = target.kind === 'name' ? target.name : target.address;
    return new StreamWay({
      ...{...shared, events},
      open: async (onOpen, signal) => {
        const client = await opening;
        if (!signal.aborted) await client.openDatagrams({host, port, family}, {signal, onOpen});
      },
      endOf: (code, message) => endOf(code, egressRefusal(code, message, {host, port})),
      failed: (error) => ({answer: answerOf(error), error}),
    });
  };
}

function endOf(code: StreamCode, error: unknown): WayEnd {
  const answer = ANSWERS[code];
  return QUIET.includes(code) ? {answer} : {answer, error};
}

function answerOf(error: unknown): Unreachable | undefined {
  const code = streamCodeOf(error);
  return code === undefined ? undefined : ANSWERS[code];
}

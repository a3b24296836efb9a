// Flows of UDP from the sealed network of this member to other members.

import {SharedRoom} from '../bytes/datagram-room.js';
import {DatagramTurns} from '../bytes/datagram-turns.js';
import {systemClock} from '../core/clock.js';
import {type ErrorCode, errorForPeer, type TunlError, toTunlError} from '../core/errors.js';
import type {StreamCode} from '../protocol/wire.js';
import type {MemberTarget} from '../seal/passage.js';
import type {DatagramsOut, WayEnd} from '../seal/udp/flows.js';
import type {Unreachable} from '../seal/udp/packets.js';
import {StreamWay} from '../seal/udp/stream-way.js';
import {refusal} from './connections.js';
import type {Membership} from './join-options.js';

/** Datagrams that wait for the links to other members: those for one, and for all. */
const MEMBER_BYTES = 2 * 1024 * 1024;
const ALL_BYTES = 16 * 1024 * 1024;

/** The answer for the program: an ICMP message. */
const ANSWERS: {readonly [code in ErrorCode]?: Unreachable} = {
  UPSTREAM_REFUSED: 'port',
  NOT_ALLOWED: 'forbidden',
  MEMBER_UDP: 'forbidden',
};

/** The flow is over as after a rest: another datagram begins it again. */
const ENDS: readonly StreamCode[] = ['SESSION_ENDED', 'CANCELLED', 'TOO_MUCH_UNREAD'];

export function datagramsToMembers(membership: Pick<Membership, 'openFlow'>): DatagramsOut<MemberTarget> {
  const turns = new DatagramTurns(systemClock);
  const room = new SharedRoom({most: ALL_BYTES, mostOfOne: MEMBER_BYTES});
  return ({address, from, port}, events) =>
    new StreamWay({
      ...{turns, events},
      room: room.of(address),
      open: (onOpen, signal) => membership.openFlow({to: address, from, port, signal}, onOpen),
      endOf: (code, message) =>
        ENDS.includes(code) ? {answer: undefined} : endOf(flowRefusal(code, message)),
      failed: (error) => endOf(toTunlError(error)),
    });
}

/** Nobody listens: the program hears it, and people need not. */
function endOf(error: TunlError): WayEnd {
  const answer = ANSWERS[error.code] ?? 'host';
  return answer === 'port' ? {answer} : {answer, error};
}

function flowRefusal(code: StreamCode, message: string | undefined): TunlError {
  if (code !== 'KIND_UNKNOWN') return refusal(code, message);
  return errorForPeer('MEMBER_UDP', {
    reason: message ?? 'The member takes no UDP: its tunl is older than this one.',
  });
}

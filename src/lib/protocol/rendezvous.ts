// A rendezvous: two TCP connections to the relay's TLS port, one of each member, that the relay joins without reading their bytes.
// Each begins with a ClientHello whose only content is its name, so that everything on the way that leads visitors to a relay by
// their names leads these there as well. The relay drops that hello.

import {randomBytes} from '../core/node-crypto.js';
import {type Fields, hex} from './fields.js';

/** The relay has it, in the features of its challenge. */
export const FEATURE_RENDEZVOUS = 'rendezvous';

/** `opener` has opened the member stream that stands for the rendezvous. */
export const RENDEZVOUS_SIDES = ['opener', 'target'] as const;
export type RendezvousSide = (typeof RENDEZVOUS_SIDES)[number];

/** Who comes to which rendezvous. */
export interface RendezvousPlace {
  side: RendezvousSide;
  /** 36 hex digits: four of the worker that keeps it (0: the relay has one process), and 128 random bits. */
  id: string;
}

const WORKER_DIGITS = 4;
const RANDOM_BYTES = 16;
export const RENDEZVOUS_DIGITS = WORKER_DIGITS + 2 * RANDOM_BYTES;
const ID = new RegExp(`^[0-9a-f]{${RENDEZVOUS_DIGITS}}$`);
/** The label between the place and the relay's domain. Tunnels have one label in front of the domain. */
const LABEL = 'rendezvous';

/** @param worker the number of this process; 0 when it is the only one */
export function newRendezvousId(worker: number): string {
  return worker.toString(16).padStart(WORKER_DIGITS, '0') + randomBytes(RANDOM_BYTES).toString('hex');
}

export const workerOfRendezvous = (id: string): number => Number.parseInt(id.slice(0, WORKER_DIGITS), 16);

/** The one line of a member stream with a rendezvous, from the target to the opener. @throws MalformedMessage */
export const readRendezvousLine = (fields: Fields): string => hex(fields, 'rendezvous', RENDEZVOUS_DIGITS);

/** Undefined: the name means something else. */
export function rendezvousIn(name: string, domain: string): RendezvousPlace | undefined {
  const end = `.${LABEL}.${domain}`;
  if (!name.endsWith(end)) return undefined;
  const [side, id = '', ...more] = name.slice(0, -end.length).split('-');
  const known = RENDEZVOUS_SIDES.find((each) => each === side);
  return known !== undefined && more.length === 0 && ID.test(id) ? {side: known, id} : undefined;
}

/**
 * The first bytes of such a connection: a ClientHello in one record (RFC 8446 §4.1.2) with TLS 1.3, one cipher suite and the name.
 * Nobody answers it.
 */
export function rendezvousHello({side, id}: RendezvousPlace, domain: string): Buffer {
  const name = Buffer.from(`${side}-${id}.${LABEL}.${domain}`);
  const serverName = sized(2, sized(2, Buffer.concat([Buffer.from([0]), sized(2, name)])));
  const extensions = Buffer.concat([Buffer.from([0, 0]), serverName, Buffer.from([0, 43, 0, 3, 2, 3, 4])]);
  const body = Buffer.concat([
    ...[Buffer.from([3, 3]), randomBytes(32), sized(1, Buffer.alloc(0))],
    ...[sized(2, Buffer.from([0x13, 0x01])), sized(1, Buffer.from([0])), sized(2, extensions)],
  ]);
  const message = Buffer.concat([Buffer.from([1, 0]), sized(2, body)]);
  return Buffer.concat([Buffer.from([22, 3, 1]), sized(2, message)]);
}

/** What stands behind that hello in the bytes that have come. */
export function behindHello(head: Buffer): Buffer {
  return head.subarray(5 + head.readUInt16BE(3));
}

function sized(bytes: 1 | 2, content: Buffer): Buffer {
  const length = Buffer.alloc(bytes);
  length.writeUIntBE(content.length, 0, bytes);
  return Buffer.concat([length, content]);
}

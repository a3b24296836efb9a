// The words of two members inside their TLS: the first line of each side, and the OPEN of a connection.

import {
  type Fields,
  flag,
  hex,
  MalformedMessage,
  maybe,
  parseJsonObject,
  prose,
  text,
  whole,
} from '../protocol/fields.js';
import {isStreamCode, LIMITS, type StreamCode} from '../protocol/wire.js';

/** Digits of a session's number. */
export const SESSION_DIGITS = 32;

/** The first line of the member that dials. */
export interface PeerHello {
  /** The address of the member that it means: a key may be one of several networks. */
  to: string;
  /** The session of the two that it begins or goes on with, 128 random bits. */
  session: string;
  /** True: the session exists. */
  resumes: boolean;
  /** The session's bytes that it has received. */
  received: number;
}

/** The first line of the other one. */
export type PeerAnswer = {received: number} | {code: StreamCode; message?: string};

/** @throws MalformedMessage */
export function readHello(fields: Fields): PeerHello {
  return {
    to: text(fields, 'to', 64),
    session: hex(fields, 'session', SESSION_DIGITS),
    resumes: flag(fields, 'resumes'),
    received: whole(fields, 'received', 0, Number.MAX_SAFE_INTEGER),
  };
}

/** @throws MalformedMessage */
export function readAnswer(fields: Fields): PeerAnswer {
  if (Object.hasOwn(fields, 'received'))
    return {received: whole(fields, 'received', 0, Number.MAX_SAFE_INTEGER)};
  const {code} = fields;
  return {
    code: isStreamCode(code) ? code : 'CANCELLED',
    ...maybe(fields, 'message', prose, LIMITS.textCharacters),
  };
}

/** The `port` of a flow whose datagrams the other member sends back: an echo. */
export const ECHO_PORT = 0;

/** The ports of a flow of UDP: that of the member that begins it, and that of the other one, or ECHO_PORT. */
export interface FlowPorts {
  readonly from: number;
  readonly port: number;
}

/** The OPEN of one connection. @throws MalformedMessage */
export function readPort(about: Buffer): number {
  return portIn(parseJsonObject(about), 'port');
}

/** The OPEN of one flow. @throws MalformedMessage */
export function readFlowPorts(about: Buffer): FlowPorts {
  const fields = parseJsonObject(about);
  const port = fields.port === ECHO_PORT ? ECHO_PORT : portIn(fields, 'port');
  return {from: port === ECHO_PORT ? 0 : portIn(fields, 'from'), port};
}

function portIn(fields: Fields, name: 'from' | 'port'): number {
  const port = fields[name];
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535)
    throw new MalformedMessage(`${name} is no port`);
  return port;
}

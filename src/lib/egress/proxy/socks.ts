// The messages of SOCKS 5 (RFC 1928, RFC 1929). Pure: bytes in, values out.

import {addressText} from '../../net/address-bytes.js';
import type {HostPort} from '../../protocol/targets.js';

export const SOCKS_VERSION = 5;
/** Its messages are not read: it has no passwords and no names. */
export const SOCKS4_VERSION = 4;
const LOGIN_VERSION = 1;
const CONNECT = 1;

/** How a client may show who it is. */
export const SOCKS_METHOD = {none: 0, password: 2, noneFits: 0xff} as const;

export const SOCKS_REPLY = {
  done: 0,
  failed: 1,
  notAllowed: 2,
  unreachable: 4,
  refused: 5,
  timedOut: 6,
  commandUnknown: 7,
  addressUnknown: 8,
} as const;

export type SocksReply = (typeof SOCKS_REPLY)[keyof typeof SOCKS_REPLY];

/** The value of a message, and its length. Undefined: more bytes are needed. */
export type Read<T> = {value: T; length: number} | 'invalid' | undefined;

/** The methods that a client offers. At most 257 bytes. */
export function readGreeting(bytes: Buffer): Read<readonly number[]> {
  if (bytes.length > 0 && bytes[0] !== SOCKS_VERSION) return 'invalid';
  const count = bytes[1];
  if (count === undefined) return undefined;
  if (count === 0) return 'invalid';
  const length = 2 + count;
  return bytes.length < length ? undefined : {value: [...bytes.subarray(2, length)], length};
}

/** At most 513 bytes. */
export function readLogin(bytes: Buffer): Read<{user: Buffer; password: Buffer}> {
  if (bytes.length > 0 && bytes[0] !== LOGIN_VERSION) return 'invalid';
  const userLength = bytes[1];
  if (userLength === undefined) return undefined;
  const passwordLength = bytes[2 + userLength];
  if (passwordLength === undefined) return undefined;
  const passwordAt = 3 + userLength;
  const length = passwordAt + passwordLength;
  if (bytes.length < length) return undefined;
  return {
    value: {user: bytes.subarray(2, 2 + userLength), password: bytes.subarray(passwordAt, length)},
    length,
  };
}

/** The destination, or the reply to a request that is not served. At most 262 bytes. */
export function readRequest(bytes: Buffer): Read<HostPort | SocksReply> {
  if (bytes.length > 0 && bytes[0] !== SOCKS_VERSION) return 'invalid';
  const [, command, , kind, first] = bytes;
  if (kind === undefined) return undefined;
  if (command !== CONNECT) return {value: SOCKS_REPLY.commandUnknown, length: bytes.length};
  switch (kind) {
    case 1:
      return destination(bytes, 4, 4, addressText);
    case 3:
      return first === undefined
        ? undefined
        : destination(bytes, 5, first, (name) => name.toString('latin1'));
    case 4:
      return destination(bytes, 4, 16, addressText);
    default:
      return {value: SOCKS_REPLY.addressUnknown, length: bytes.length};
  }
}

function destination(
  bytes: Buffer,
  at: number,
  hostLength: number,
  hostOf: (bytes: Buffer) => string,
): Read<HostPort> {
  const portAt = at + hostLength;
  const length = portAt + 2;
  if (bytes.length < length) return undefined;
  return {value: {host: hostOf(bytes.subarray(at, portAt)), port: bytes.readUInt16BE(portAt)}, length};
}

/** The method that a client must use now. */
export function chooseMethod(offered: readonly number[], needsPassword: boolean): number {
  const {none, password, noneFits} = SOCKS_METHOD;
  if (!needsPassword && offered.includes(none)) return none;
  return offered.includes(password) ? password : noneFits;
}

export function methodMessage(method: number): Buffer {
  return Buffer.from([SOCKS_VERSION, method]);
}

export function loginMessage(isRight: boolean): Buffer {
  return Buffer.from([LOGIN_VERSION, isRight ? 0 : 1]);
}

/** With no address: the client does not learn which one the destination sees. */
export function replyMessage(reply: SocksReply): Buffer {
  return Buffer.from([SOCKS_VERSION, reply, 0, 1, 0, 0, 0, 0, 0, 0]);
}

/** For a client of version 4: refused. */
export const SOCKS4_REFUSED: readonly number[] = [0, 0x5b, 0, 0, 0, 0, 0, 0];

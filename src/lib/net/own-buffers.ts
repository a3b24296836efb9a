// Node's option `onread` for sockets that exist already: their bytes go into a buffer of the caller, without a stream's own
// buffer, events and ticks.
//
// Node takes the option only in the constructor of a socket. It ends up in three properties, which each socket has from the
// start, and in a call of the handle. This file does the same later.

import {type OnReadOpts, Socket} from 'node:net';

interface Inside {
  _handle?: {reading?: unknown; useUserBuffer?: (buffer: Uint8Array) => void} | null;
  [property: symbol]: unknown;
}

interface Properties {
  buffer: symbol;
  callback: symbol;
  generator: symbol;
}

/** `buffer`: the bytes are at its start. False: the socket must not be read until `resume`. */
export type OnRead = (bytes: number, buffer: Buffer) => boolean;

export interface OwnBuffers {
  first: Buffer;
  /** The buffer for the read after each read. Default: always `first`. */
  next?: () => Buffer;
  onRead: OnRead;
}

let shared: Buffer | undefined;
const ignore = (): boolean => true;
let properties: Properties | 'unknown' | undefined;

/** As large as the reads of Node. Reading is synchronous, so no two sockets use it at once: its bytes are valid until a callback returns. */
export function sharedBuffer(): Buffer {
  shared ??= Buffer.allocUnsafeSlow(64 * 1024);
  return shared;
}

/** False: this Node works in another way, or the socket has such a buffer already, and the caller must listen for `data`. */
export function canReadInto(socket: Socket): boolean {
  properties ??= findProperties() ?? 'unknown';
  const inside = socket as unknown as Inside;
  return (
    properties !== 'unknown' &&
    typeof inside._handle?.useUserBuffer === 'function' &&
    inside[properties.buffer] === null
  );
}

/** All bytes from now on; those that the stream has read before stay in it. Only after `canReadInto`. */
export function readInto(socket: Socket, {first, next, onRead}: OwnBuffers): void {
  const {buffer, callback, generator} = properties as Properties;
  const inside = socket as unknown as Inside;
  inside._handle?.useUserBuffer?.(first);
  inside[callback] = onRead;
  inside[buffer] = first;
  if (next !== undefined) inside[generator] = next;
}

/** The socket is closed: it refers no longer to the reader of its bytes. */
export function forgetReader(socket: Socket): void {
  if (properties === undefined || properties === 'unknown') return;
  const inside = socket as unknown as Inside;
  if (inside[properties.buffer] === null) return;
  inside[properties.callback] = ignore;
  inside[properties.generator] = null;
}

/** The properties have no names that other code can use, so sockets without a handle show where their options are. */
function findProperties(): Properties | undefined {
  const bytes = new Uint8Array(1);
  const generate = () => bytes;
  const callback = () => true;
  const found = {
    buffer: propertyOf({buffer: bytes, callback}, bytes),
    callback: propertyOf({buffer: bytes, callback}, callback),
    generator: propertyOf({buffer: generate, callback}, generate),
  };
  return Object.values(found).includes(undefined) ? undefined : (found as Properties);
}

function propertyOf(onread: OnReadOpts, value: unknown): symbol | undefined {
  const socket = new Socket({onread});
  const inside = socket as unknown as Inside;
  const symbol = Object.getOwnPropertySymbols(socket).find((each) => inside[each] === value);
  socket.destroy();
  return symbol;
}

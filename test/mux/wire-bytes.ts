// Records and frames made by hand, right and wrong ones: no limit is checked here.
import {FRAME, KIND, RECORD} from '../../src/lib/protocol/wire.js';

type Payload = Uint8Array | string;

function bytesOf(payload: Payload): Uint8Array {
  return typeof payload === 'string' ? Buffer.from(payload) : payload;
}

/** `length`: the length in the header, when it differs from the payload's. */
export function record(type: number, payload: Payload = '', length = bytesOf(payload).length): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt8(type, 0);
  header.writeUIntBE(length, 1, 3);
  return Buffer.concat([header, bytesOf(payload)]);
}

export function frame(type: number, streamId: number, payload: Payload = '', length?: number): Buffer {
  const header = Buffer.alloc(10);
  header.writeUInt8(type, 0);
  header.writeUIntBE(length ?? bytesOf(payload).length, 1, 3);
  header.writeUIntBE(streamId, 4, 6);
  return Buffer.concat([header, bytesOf(payload)]);
}

export function count(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

export const segment = (...frames: Uint8Array[]): Buffer => record(RECORD.segment, Buffer.concat(frames));
export const ack = (bytes: number | bigint): Buffer => record(RECORD.ack, count(bytes));
export const ping = (number = 1): Buffer => record(RECORD.ping, count(number));
export const pong = (number = 1): Buffer => record(RECORD.pong, count(number));
export const message = (value: unknown): Buffer => record(RECORD.message, JSON.stringify(value));

export const open = (streamId: number, about: unknown = {}, kind: number = KIND.visitor): Buffer =>
  frame(FRAME.open, streamId, Buffer.concat([Buffer.from([kind]), Buffer.from(JSON.stringify(about))]));
export const opened = (streamId: number): Buffer => frame(FRAME.opened, streamId);
export const refused = (streamId: number, code = 'CANCELLED'): Buffer =>
  frame(FRAME.refused, streamId, JSON.stringify({code}));
export const data = (streamId: number, payload: Payload): Buffer => frame(FRAME.data, streamId, payload);
export const fin = (streamId: number): Buffer => frame(FRAME.fin, streamId);
export const reset = (streamId: number, code = 'CANCELLED'): Buffer =>
  frame(FRAME.reset, streamId, JSON.stringify({code}));
export function credit(streamId: number, bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return frame(FRAME.credit, streamId, payload);
}
export const control = (value: unknown): Buffer => frame(FRAME.control, 0, JSON.stringify(value));

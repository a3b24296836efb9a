// RFC 6455 as this project uses it: opcodes, close codes, limits, and frame headers written in place before their payload.

import {isUtf8} from 'node:buffer';

/** The agent dials and masks (RFC 6455 §5.3); the relay does not mask. */
export type Role = 'agent' | 'relay';

export const OPCODE = {continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10} as const;

export const CLOSE = {
  normal: 1000,
  goingAway: 1001,
  protocol: 1002,
  /** The peer sent a kind of data that is not accepted: text. */
  unsupported: 1003,
  /** Never on the wire: the close frame had no code. */
  none: 1005,
  invalidData: 1007,
  tooBig: 1009,
} as const;

/** RFC 6455 §5.5. */
export const MAX_CONTROL_PAYLOAD = 125;

/**
 * One message, with all its fragments. Nothing is gathered, so this protects no memory. It is far above what a
 * session writes at once (160 KiB blocks) or a middlebox may merge, and detects a lost frame boundary early.
 */
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/** Data frames without payload in a row. Sessions send none; some libraries end a message with one. */
export const MAX_EMPTY_FRAMES = 16;

/** Control frames without data between them, within `CONTROL_WINDOW_MS`: a hundred times what keep-alive needs. */
export const MAX_CONTROL_FRAMES = 200;
export const CONTROL_WINDOW_MS = 10_000;

/** The longest header: 2 bytes, a 64-bit length, the agent's mask. */
export const MAX_HEADER = 14;

const FIN = 0x80;
const MASK_BIT = 0x80;

/** The longest header that this role writes. */
export function headroomOf(role: Role): number {
  return role === 'agent' ? MAX_HEADER : MAX_HEADER - 4;
}

/**
 * Writes the header of a whole binary message so that it ends at `start`, the start of `length` bytes of payload.
 * Returns the start of the header. The mask is all zeros: this is legal, leaves the payload unchanged, and over TLS a mask
 * protects nothing.
 */
export function writeDataHeader(role: Role, block: Buffer, start: number, length: number): number {
  return writeHeader(role, block, start, FIN | OPCODE.binary, length);
}

/** A whole control frame. `payload` is at most 125 bytes. */
export function controlFrame(
  role: Role,
  opcode: (typeof OPCODE)['close' | 'ping' | 'pong'],
  payload: Uint8Array,
): Buffer {
  const start = headroomOf(role);
  const block = Buffer.allocUnsafe(start + payload.length);
  block.set(payload, start);
  return block.subarray(writeHeader(role, block, start, FIN | opcode, payload.length));
}

/** A close frame; a reason that is too long is cut between characters. `none` sends no code. */
export function closeFrame(role: Role, code: number, reason = ''): Buffer {
  if (code === CLOSE.none) return controlFrame(role, OPCODE.close, new Uint8Array());
  const payload = Buffer.alloc(MAX_CONTROL_PAYLOAD);
  payload.writeUInt16BE(code, 0);
  const {written} = new TextEncoder().encodeInto(reason, payload.subarray(2));
  return controlFrame(role, OPCODE.close, payload.subarray(0, 2 + written));
}

function writeHeader(role: Role, block: Buffer, start: number, first: number, length: number): number {
  let at = start;
  let second = 0;
  if (role === 'agent') {
    at -= 4;
    block.fill(0, at, start);
    second = MASK_BIT;
  }
  if (length <= 125) {
    second |= length;
  } else if (length <= 0xffff) {
    at -= 2;
    block.writeUInt16BE(length, at);
    second |= 126;
  } else {
    at -= 8;
    block.writeUInt32BE(Math.floor(length / 2 ** 32), at);
    block.writeUInt32BE(length % 2 ** 32, at + 4);
    second |= 127;
  }
  block[at - 1] = second;
  block[at - 2] = first;
  return at - 2;
}

/** The reason why a peer's input was refused, and its close code. */
export interface Violation {
  closeCode: number;
  reason: string;
}

/** Parses the payload of a close frame, or returns why it is invalid (RFC 6455 §5.5.1, §7.4). */
export function parseClose(payload: Buffer): {code: number; reason: string} | Violation {
  if (payload.length === 0) return {code: CLOSE.none, reason: ''};
  if (payload.length === 1) return {closeCode: CLOSE.protocol, reason: 'a close frame of one byte'};
  const code = payload.readUInt16BE(0);
  if (!isSendableCloseCode(code)) return {closeCode: CLOSE.protocol, reason: `close code ${code}`};
  const text = payload.subarray(2);
  if (!isUtf8(text)) return {closeCode: CLOSE.invalidData, reason: 'a close reason that is not UTF-8'};
  return {code, reason: text.toString('utf8')};
}

/** The codes that may be on the wire: those of RFC 6455 and IANA's registry, and 3000–4999. */
function isSendableCloseCode(code: number): boolean {
  if (code >= 3000) return code <= 4999;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

// The few messages of DNS that the seal's resolver reads and writes (RFC 1035): one question in, its addresses out.

import {addressBytes} from '../net/address-bytes.js';

export const TYPE_A = 1;
export const TYPE_AAAA = 28;
const CLASS_IN = 1;

export const RCODE = {ok: 0, malformed: 1, failed: 2, noName: 3, notImplemented: 4, refused: 5} as const;

export type Rcode = (typeof RCODE)[keyof typeof RCODE];

const HEADER = 12;
const MAX_NAME = 255;
const MAX_LABEL = 63;
/** A question is short. What follows it (EDNS) is ignored. */
const MAX_QUERY = 4_096;
/** With so many addresses every answer fits into 512 bytes. */
const MAX_ANSWERS = 8;

const FLAG_RESPONSE = 0x8000;
const MASK_OPCODE = 0x7800;
const FLAG_RECURSION_DESIRED = 0x0100;
const FLAG_RECURSION_AVAILABLE = 0x0080;
/** A pointer to the name of the question, which begins after the header. */
const POINTER_TO_QUESTION = 0xc000 | HEADER;

export interface DnsQuestion {
  readonly id: number;
  readonly flags: number;
  /** The question as it came, with the case of its letters: some resolvers compare that. */
  readonly raw: Buffer;
  /** Lower case, without a dot at the end. Undefined: it has bytes that no host name has. */
  readonly name: string | undefined;
  readonly type: number;
}

/** Undefined: not a question, and not worth an answer. 'malformed' and others: the code of the answer to `id`. */
export type DnsRead =
  | {readonly question: DnsQuestion}
  | {readonly id: number; readonly flags: number; readonly rcode: Rcode};

export function readQuestion(message: Buffer): DnsRead | undefined {
  if (message.length < HEADER || message.length > MAX_QUERY) return undefined;
  const id = message.readUInt16BE(0);
  const flags = message.readUInt16BE(2);
  if ((flags & FLAG_RESPONSE) !== 0) return undefined;
  if ((flags & MASK_OPCODE) !== 0) return {id, flags, rcode: RCODE.notImplemented};
  const malformed: DnsRead = {id, flags, rcode: RCODE.malformed};
  if (message.readUInt16BE(4) !== 1) return malformed;
  const labels: string[] = [];
  let at = HEADER;
  for (;;) {
    const length = message[at];
    // A question has nothing before it that a pointer could mean.
    if (length === undefined || length > MAX_LABEL || at + length - HEADER > MAX_NAME) return malformed;
    at += 1;
    if (length === 0) break;
    labels.push(message.subarray(at, at + length).toString('latin1'));
    at += length;
  }
  if (at - HEADER > MAX_NAME || at + 4 > message.length) return malformed;
  const name = labels.join('.').replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  return {
    question: {
      id,
      flags,
      raw: message.subarray(HEADER, at + 4),
      name: labels.every((label) => /^[A-Za-z0-9_-]+$/.test(label)) && labels.length > 0 ? name : undefined,
      // Another class has no such names.
      type: message.readUInt16BE(at + 2) === CLASS_IN ? message.readUInt16BE(at) : 0,
    },
  };
}

export interface DnsAnswer {
  readonly rcode: Rcode;
  /** Addresses of the question's family; at most eight are sent. */
  readonly addresses?: readonly string[];
  readonly ttl?: number;
}

export function writeAnswer(question: DnsQuestion, {rcode, addresses = [], ttl = 0}: DnsAnswer): Buffer {
  const size = question.type === TYPE_A ? 4 : 16;
  const records = addresses
    .map((address) => addressBytes(address))
    .filter((bytes) => bytes?.length === size)
    .slice(0, MAX_ANSWERS)
    .map((bytes) => {
      const head = Buffer.alloc(12);
      head.writeUInt16BE(POINTER_TO_QUESTION, 0);
      head.writeUInt16BE(question.type, 2);
      head.writeUInt16BE(CLASS_IN, 4);
      head.writeUInt32BE(ttl, 6);
      head.writeUInt16BE(size, 10);
      return Buffer.concat([head, bytes as Buffer]);
    });
  return Buffer.concat([
    header({...question, rcode}, {questions: 1, answers: records.length}),
    question.raw,
    ...records,
  ]);
}

/** The answer to a message whose question cannot be read. */
export function writeError(read: {id: number; flags: number; rcode: Rcode}): Buffer {
  return header(read, {questions: 0, answers: 0});
}

function header(
  {id, flags, rcode}: {id: number; flags: number; rcode: Rcode},
  {questions, answers}: {questions: number; answers: number},
): Buffer {
  const bytes = Buffer.alloc(HEADER);
  bytes.writeUInt16BE(id, 0);
  const kept = flags & (MASK_OPCODE | FLAG_RECURSION_DESIRED);
  bytes.writeUInt16BE(FLAG_RESPONSE | FLAG_RECURSION_AVAILABLE | kept | rcode, 2);
  bytes.writeUInt16BE(questions, 4);
  bytes.writeUInt16BE(answers, 6);
  return bytes;
}

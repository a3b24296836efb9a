// The messages on the control socket of a sandbox, beyond the services of its init: requests with one answer, and the output.
// Both ends belong to the same user, and the limits hold nevertheless.

import {
  asObject,
  type Fields,
  MalformedMessage,
  oneOf,
  parseJsonObject,
  text,
  whole,
} from '../protocol/fields.js';
import type {LogPiece} from './control.js';
import {errorLine, readError} from './init/wire.js';
import type {EgressRules} from './spec.js';

export const CONTROL_SERVICE = {
  /** One line of JSON, then one line as the answer. */
  request: 'request',
  /** One line `{follow}`, then pieces until the end. */
  logs: 'logs',
} as const;

const PLAIN = ['info', 'stats', 'started', 'ready', 'wait', 'tunnels', 'terminate'] as const;

export type ControlRequest =
  | {readonly do: (typeof PLAIN)[number]}
  | {readonly do: 'extend'; readonly ms: number}
  | {readonly do: 'egress'; readonly rules: EgressRules};

/** Bytes of a request, and of an answer with a long command. */
export const REQUEST_BYTES = 64 * 1024;
export const ANSWER_BYTES = 1024 * 1024;

/** Throws MalformedMessage, as all readers here. */
export function readControlRequest(line: Buffer): ControlRequest {
  const fields = parseJsonObject(line);
  const name = oneOf(fields, 'do', [...PLAIN, 'extend', 'egress']);
  if (name === 'extend') return {do: name, ms: whole(fields, 'ms', 0, Number.MAX_SAFE_INTEGER)};
  return name === 'egress' ? {do: name, rules: readRules(asObject(fields.rules, 'rules'))} : {do: name};
}

function readRules(fields: Fields): EgressRules {
  const kind = oneOf(fields, 'kind', ['none', 'internet', 'list']);
  if (kind !== 'list') return {kind};
  if (!Array.isArray(fields.allow)) throw new MalformedMessage('allow is not a list');
  const allow = fields.allow.map((each: unknown) => {
    const rule = asObject(each, 'allow');
    return {host: text(rule, 'host', 255), port: whole(rule, 'port', 1, 65_535)};
  });
  return {kind, allow};
}

/** The answer, or the error in it. */
export function readControlAnswer(line: Buffer): Fields {
  const fields = parseJsonObject(line);
  if (Object.hasOwn(fields, 'error')) throw readError(fields);
  return asObject(fields.ok, 'ok');
}

export const answerLine = (ok: object): object => ({ok});
export {errorLine};

// ── logs ──

/** The source (1), bytes that are lost before the piece (4), length (4). */
const HEADER_BYTES = 9;
const SOURCES = ['stdout', 'stderr'] as const;
const MAX_PIECE_BYTES = 1024 * 1024;

export function encodePiece({from, bytes, lostBytes = 0}: LogPiece): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header[0] = SOURCES.indexOf(from);
  header.writeUInt32BE(Math.min(lostBytes, 0xffff_ffff), 1);
  header.writeUInt32BE(bytes.length, 5);
  return Buffer.concat([header, bytes]);
}

/** Takes bytes cut anywhere, and gives pieces. */
export class PieceReader {
  #bytes: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): LogPiece[] {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    const pieces: LogPiece[] = [];
    for (let piece = this.#next(); piece !== undefined; piece = this.#next()) pieces.push(piece);
    return pieces;
  }

  #next(): LogPiece | undefined {
    if (this.#bytes.length < HEADER_BYTES) return undefined;
    const from = SOURCES[this.#bytes[0] ?? 0];
    const lostBytes = this.#bytes.readUInt32BE(1);
    const end = HEADER_BYTES + this.#bytes.readUInt32BE(5);
    if (from === undefined || end > HEADER_BYTES + MAX_PIECE_BYTES)
      throw new MalformedMessage('a piece of output that cannot be read');
    if (this.#bytes.length < end) return undefined;
    const bytes = this.#bytes.subarray(HEADER_BYTES, end);
    this.#bytes = this.#bytes.subarray(end);
    return {from, bytes, ...(lostBytes > 0 && {lostBytes})};
  }
}

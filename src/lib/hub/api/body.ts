// Reads and checks the body of a request: a small JSON object or form, or nothing.

import type {IncomingMessage} from 'node:http';
import * as v from 'valibot';
import {HttpProblem} from './problem.js';

export const MAX_BODY_BYTES = 16 * 1024;

/** @throws HttpProblem 400, 413, 415 */
export async function readBody(req: IncomingMessage, schema: v.GenericSchema | undefined): Promise<unknown> {
  const bytes = await collect(req);
  if (schema === undefined) return undefined;
  const value = parse(bytes, req.headers['content-type'] ?? '');
  if (Array.isArray(value)) throw new HttpProblem(400, 'OPTION_INVALID', 'The body is a list.');
  const checked = v.safeParse(schema, value);
  if (checked.success) return checked.output;
  const [issue] = checked.issues;
  const place = issue.path?.map(({key}) => String(key)).join('.') ?? 'the body';
  throw new HttpProblem(400, 'OPTION_INVALID', `${place}: ${issue.message}`.slice(0, 300));
}

async function collect(req: IncomingMessage): Promise<Buffer> {
  const tooLarge = () =>
    new HttpProblem(413, 'OPTION_INVALID', `A body has at most ${MAX_BODY_BYTES / 1024} KiB.`, {
      Connection: 'close',
    });
  if (Number(req.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of req as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > MAX_BODY_BYTES) throw tooLarge();
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

function parse(bytes: Buffer, type: string): unknown {
  if (bytes.length === 0) return {};
  const text = bytes.toString('utf8');
  const [media = ''] = type.split(';', 1);
  switch (media.trim().toLowerCase()) {
    case 'application/x-www-form-urlencoded':
      // `curl -d '{…}'` sends JSON under this type.
      return /^\s*\{/.test(text) ? fromJson(text) : Object.fromEntries(new URLSearchParams(text));
    case 'application/json':
    case '':
      return fromJson(text);
    default:
      throw new HttpProblem(415, 'OPTION_INVALID', 'Send the body as application/json.');
  }
}

function fromJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new HttpProblem(400, 'OPTION_INVALID', 'The body is not valid JSON.');
  }
}

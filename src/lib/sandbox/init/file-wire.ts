// The lines of the service `file`: one request, one answer, then the bytes of a file or the lines of a list.

import {TunlError} from '../../core/errors.js';
import {
  asObject,
  type Fields,
  flag,
  MalformedMessage,
  maybe,
  oneOf,
  parseJsonObject,
  text,
  whole,
} from '../../protocol/fields.js';
import type {FileEntry} from '../backend.js';
import {readError} from './wire.js';

const OPERATIONS = ['read', 'write', 'list', 'stat', 'makeFolder', 'remove'] as const;
export type FileOperation = (typeof OPERATIONS)[number];

export interface FileRequest {
  op: FileOperation;
  path: string;
  /** Permission bits of a new file or folder. */
  mode?: number;
  /** `remove`: a folder with everything in it. */
  recursive?: boolean;
}

const MAX_PATH = 4_096;
/** Linux allows 255 bytes. */
const MAX_NAME = 1_024;
const MAX_MODE = 0o7777;

/** The most entries of one list, and the most bytes of its lines. */
export const MAX_ENTRIES = 100_000;
export const MAX_LIST_BYTES = 32 * 1024 * 1024;
const KINDS = ['file', 'folder', 'link', 'other'] as const;

export function readFileRequest(line: Buffer): FileRequest {
  const fields = parseJsonObject(line);
  const path = text(fields, 'path', MAX_PATH);
  if (path === '' || path.includes('\0')) throw new MalformedMessage('path is not a path');
  return {
    op: oneOf(fields, 'op', OPERATIONS),
    path,
    ...maybe(fields, 'mode', whole, 0, MAX_MODE),
    ...(flag(fields, 'recursive') && {recursive: true}),
  };
}

/** The content of `ok`. @throws TunlError the error that the other side answers; MalformedMessage */
export function readFileAnswer(line: Buffer): Fields {
  const fields = parseJsonObject(line);
  if (!Object.hasOwn(fields, 'error'))
    return asObject(Object.hasOwn(fields, 'ok') ? fields.ok : undefined, 'ok');
  const error = readError(fields);
  throw error.code === 'UNEXPECTED'
    ? new TunlError('SANDBOX_FILE', {reason: error.message, cause: error})
    : error;
}

export function readEntry(fields: Fields): FileEntry {
  return {
    name: text(fields, 'name', MAX_NAME),
    kind: oneOf(fields, 'kind', KINDS),
    bytes: whole(fields, 'bytes', 0, Number.MAX_SAFE_INTEGER),
    mode: whole(fields, 'mode', 0, MAX_MODE),
    modifiedAt: whole(fields, 'modifiedAt', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  };
}

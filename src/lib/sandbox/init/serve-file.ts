// The serving side of `file`.

import {finished, PassThrough, Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {StreamDuplex} from '../../bytes/stream-duplex.js';
import {TunlError} from '../../core/errors.js';
import type {Stream} from '../../mux/stream.js';
import {MalformedMessage} from '../../protocol/fields.js';
import {encodeLine} from '../../protocol/lines.js';
import type {FileEntry, SandboxFiles} from '../backend.js';
import {type FileRequest, readFileRequest} from './file-wire.js';
import {readFirstLine} from './first-line.js';
import {errorLine, LINE} from './wire.js';

/** The operations on files beyond SandboxFiles. */
export interface MoreFiles {
  /** A link itself, not its target. */
  stat(path: string): Promise<FileEntry>;
  /** Missing folders above are made. An existing folder is no error. */
  makeFolder(path: string, options?: {mode?: number}): Promise<void>;
  /** A missing file is an error; a folder with content needs `recursive`. */
  remove(path: string, options?: {recursive?: boolean}): Promise<void>;
}

export type FileService = SandboxFiles & Partial<MoreFiles>;

export function serveFile(stream: Stream, files: FileService): void {
  stream.accept();
  const duplex = new StreamDuplex(stream);
  void answer(duplex, files).catch((error: unknown) => {
    if (duplex.destroyed) return;
    // Bytes that still come are of no use.
    duplex.resume();
    duplex.end(encodeLine(errorLine(error)));
  });
}

async function answer(duplex: StreamDuplex, files: FileService): Promise<void> {
  const request = await readRequest(duplex);
  if (request === undefined) {
    duplex.destroy();
    return;
  }
  const {op, path, mode} = request;
  switch (op) {
    case 'read': {
      const content = await files.read(path);
      duplex.write(encodeLine({ok: {}}));
      // An error after the answer resets the stream, so that the reader does not take a part for the whole.
      await pipeline(content, duplex).catch(() => {});
      return;
    }
    case 'write': {
      const content = contentOf(duplex);
      try {
        await files.write(path, content, mode === undefined ? {} : {mode});
      } finally {
        duplex.unpipe(content);
        content.destroy();
      }
      duplex.end(encodeLine({ok: {}}));
      return;
    }
    case 'list': {
      const entries = await files.list(path);
      duplex.write(encodeLine({ok: {}}));
      await pipeline(Readable.from(lines(entries), {objectMode: false}), duplex).catch(() => {});
      return;
    }
    default:
      duplex.end(encodeLine({ok: await change(files, request)}));
  }
}

/** A write that fails destroys its content. The stream itself must stay, for the answer. */
function contentOf(duplex: StreamDuplex): PassThrough {
  const content = new PassThrough();
  content.on('error', () => {});
  // A part must not look like the whole.
  finished(duplex, {writable: false}, (error) => {
    if (error) content.destroy(error);
  });
  return duplex.pipe(content);
}

async function readRequest(duplex: StreamDuplex): Promise<FileRequest | undefined> {
  try {
    const line = await readFirstLine(duplex, LINE.request);
    return line === undefined ? undefined : readFileRequest(line);
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error;
    throw new TunlError('OPTION_INVALID', {reason: `The request is wrong: ${error.message}.`});
  }
}

async function change(files: FileService, {op, path, mode, recursive}: FileRequest): Promise<object> {
  if (op === 'stat' && files.stat !== undefined) return await files.stat(path);
  if (op === 'makeFolder' && files.makeFolder !== undefined)
    await files.makeFolder(path, mode === undefined ? {} : {mode});
  else if (op === 'remove' && files.remove !== undefined)
    await files.remove(path, {recursive: recursive ?? false});
  else throw new TunlError('SANDBOX_FILE', {reason: `This sandbox cannot ${op}.`});
  return {};
}

/** In pieces: a line for each entry would be a piece in itself. */
function* lines(entries: readonly FileEntry[]): Generator<Buffer> {
  const AT_ONCE = 100;
  for (let at = 0; at < entries.length; at += AT_ONCE)
    yield Buffer.concat(entries.slice(at, at + AT_ONCE).map((entry) => encodeLine(entry)));
}

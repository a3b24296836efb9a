// The using side of `file`.

import type {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {StreamDuplex} from '../../bytes/stream-duplex.js';
import type {Clock, Timer} from '../../core/clock.js';
import {TunlError} from '../../core/errors.js';
import {asObject, type Fields, MalformedMessage, parseJsonObject} from '../../protocol/fields.js';
import {encodeLine, LineReader} from '../../protocol/lines.js';
import type {StreamCode} from '../../protocol/wire.js';
import type {FileEntry, SandboxFiles} from '../backend.js';
import type {StreamsClient} from './client.js';
import {ended} from './ended.js';
import {type FileRequest, MAX_ENTRIES, MAX_LIST_BYTES, readEntry, readFileAnswer} from './file-wire.js';
import {readFirstLine} from './first-line.js';
import type {MoreFiles} from './serve-file.js';
import {LINE, SERVICE} from './wire.js';

/** An answer must come, or bytes must move, within this time, ms. */
const ANSWER_MS = 60_000;

export class FilesClient implements SandboxFiles, MoreFiles {
  readonly #client: Pick<StreamsClient, 'open' | 'session'>;
  readonly #clock: Clock;

  constructor(client: Pick<StreamsClient, 'open' | 'session'>, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  async read(path: string): Promise<Readable> {
    const duplex = this.#ask({op: 'read', path});
    duplex.end();
    await this.#answer(duplex);
    return duplex;
  }

  async write(path: string, content: Readable, {mode}: {mode?: number} = {}): Promise<void> {
    const duplex = this.#ask({op: 'write', path, ...(mode !== undefined && {mode})});
    const sent = pipeline(content, duplex, {end: true}).catch((error: unknown) => {
      // The other side must not take a part for the whole.
      duplex.destroy();
      throw error;
    });
    sent.catch(() => {});
    try {
      await this.#answer(duplex, sent);
    } catch (error) {
      content.destroy();
      // An error of the content itself says more than the stream that it took with it.
      if (duplex.errored === null) throw error;
      await sent;
      throw error;
    } finally {
      duplex.destroy();
    }
  }

  async list(path: string): Promise<readonly FileEntry[]> {
    const duplex = this.#ask({op: 'list', path});
    duplex.end();
    await this.#answer(duplex);
    return await this.#guard(duplex, () => readList(duplex));
  }

  async stat(path: string): Promise<FileEntry> {
    return await this.#simple({op: 'stat', path}, readEntry);
  }

  async makeFolder(path: string, {mode}: {mode?: number} = {}): Promise<void> {
    await this.#simple({op: 'makeFolder', path, ...(mode !== undefined && {mode})});
  }

  async remove(path: string, {recursive = false}: {recursive?: boolean} = {}): Promise<void> {
    await this.#simple({op: 'remove', path, recursive});
  }

  async #simple<T = void>(request: FileRequest, read?: (ok: Fields) => T): Promise<T> {
    const duplex = this.#ask(request);
    duplex.end();
    try {
      const ok = await this.#answer(duplex);
      return await this.#guard(duplex, async () => read?.(ok) as T);
    } finally {
      duplex.destroy();
    }
  }

  #ask(request: FileRequest): StreamDuplex {
    const line = encodeLine(request);
    if (line.length > LINE.request) throw new TunlError('OPTION_INVALID', {reason: 'The path is too long.'});
    const duplex = new StreamDuplex(this.#client.open({service: SERVICE.file}), {toError: fileError});
    duplex.write(line);
    return duplex;
  }

  /** The content of the answer. @param sent the content of the request is complete. */
  async #answer(duplex: StreamDuplex, sent = Promise.resolve()): Promise<Fields> {
    using _watch = this.#watch(duplex, sent);
    return await this.#guard(duplex, async () => {
      const line = await readFirstLine(duplex, LINE.answer);
      if (line !== undefined) return readFileAnswer(line);
      if (this.#client.session.ended) throw ended();
      throw new TunlError('SANDBOX_FILE', {reason: 'The sandbox gave no answer.'});
    });
  }

  /** From `since` on, cuts off a request that is not answered and does not move either. */
  #watch(duplex: StreamDuplex, since: Promise<void>): Disposable {
    const moved = () => duplex.stream.bytesOut - duplex.stream.heldBytes;
    let timer: Timer | undefined;
    let isOver = false;
    const watch = (before: number) => {
      timer = this.#clock.after(ANSWER_MS, () => {
        if (moved() === before) duplex.destroy(new TunlError('SANDBOX_SILENT'));
        else watch(moved());
      });
    };
    since.then(
      () => {
        if (!isOver) watch(moved());
      },
      () => {},
    );
    return {
      [Symbol.dispose]: () => {
        isOver = true;
        timer?.cancel();
      },
    };
  }

  /** An answer that cannot be read ends the session. */
  async #guard<T>(duplex: StreamDuplex, read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      duplex.destroy();
      if (!(error instanceof MalformedMessage)) throw error;
      this.#client.session.onViolation(`file: ${error.message}`);
      throw ended();
    }
  }
}

async function readList(duplex: StreamDuplex): Promise<FileEntry[]> {
  const entries: FileEntry[] = [];
  const reader = new LineReader(LINE.answer);
  let bytes = 0;
  for await (const piece of duplex as AsyncIterable<Buffer>) {
    bytes += piece.length;
    reader.push(piece);
    for (let line = reader.next(); line !== undefined; line = reader.next())
      entries.push(readEntry(asObject(parseJsonObject(line), 'entry')));
    if (bytes > MAX_LIST_BYTES || entries.length > MAX_ENTRIES) {
      throw new TunlError('SANDBOX_FILE', {reason: `The folder has more than ${MAX_ENTRIES} entries.`});
    }
  }
  if (reader.bytes > 0) throw new MalformedMessage('a list that ends within a line');
  return entries;
}

function fileError(code: StreamCode, message: string | undefined): Error {
  if (code === 'SESSION_ENDED') return ended();
  return new TunlError('SANDBOX_FILE', {reason: `The transfer was cut off (${message ?? code}).`});
}

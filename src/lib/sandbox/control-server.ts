// The control socket of a sandbox, in the process that owns it. Commands, the library and the hub use the sandbox through it.

import {chmodSync, rmSync} from 'node:fs';
import {createServer, type Socket} from 'node:net';
import {join} from 'node:path';
import {Readable} from 'node:stream';
import {pipeline} from 'node:stream/promises';
import {StreamDuplex} from '../bytes/stream-duplex.js';
import {atMost, systemClock} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import {listenPrivately, placeOf} from '../core/private-socket.js';
import type {Stream} from '../mux/stream.js';
import {flag, MalformedMessage, parseJsonObject} from '../protocol/fields.js';
import {encodeLine} from '../protocol/lines.js';
import type {SandboxProcess} from './backend.js';
import type {SandboxControl} from './control.js';
import {
  answerLine,
  CONTROL_SERVICE,
  type ControlRequest,
  encodePiece,
  errorLine,
  REQUEST_BYTES,
  readControlRequest,
} from './control-wire.js';
import {readFirstLine} from './init/first-line.js';
import {type ServedStreams, serveStreams} from './init/serve.js';
import {SOCKET} from './roster.js';

/** Only the same user can connect; scripts that leave connections open must not use up this process's descriptors. */
const MAX_CONNECTIONS = 256;
const MAX_STREAMS = 1_024;
/** After the end of the sandbox, those who wait get its reason and the last output within this time, ms. */
const LAST_WORDS_MS = 2_000;

export interface ControlServer {
  /** Nobody is connected any more, and the socket is gone. It ends by itself after the end of the sandbox. */
  readonly closed: Promise<void>;
  close(): void;
}

/** The sandbox in the process that owns it. */
export interface ServedSandbox extends SandboxControl {
  /** Resolves when its command runs. Rejects with the reason why it does not. */
  readonly started: Promise<void>;
  /** A process inside that still runs. */
  find?(id: string): SandboxProcess | undefined;
}

/** @param folder the sandbox's own. Undefined: no socket is possible there. */
export async function serveSandbox(
  folder: string,
  control: ServedSandbox,
): Promise<ControlServer | undefined> {
  const place = placeOf(folder, SOCKET);
  if (place === undefined) return undefined;
  const clients = new Set<Client>();
  const server = createServer((socket) => {
    const client = new Client(socket, control);
    clients.add(client);
    void client.ended.then(() => clients.delete(client));
  });
  server.maxConnections = MAX_CONNECTIONS;
  try {
    // A socket of an earlier owner, which was killed.
    rmSync(join(folder, SOCKET), {force: true});
    await listenPrivately(server, place.path);
    chmodSync(join(folder, SOCKET), 0o600);
  } catch {
    server.close();
    place.release();
    return undefined;
  }
  server.on('error', () => {});
  server.unref();
  const closed = new Promise<void>((resolve) => server.once('close', resolve)).then(() => place.release());
  let isClosing = false;
  const close = () => {
    if (isClosing) return;
    isClosing = true;
    // Node removes the file as well, by the path that it was given.
    server.close();
    for (const client of clients) client.close();
  };
  void control.ended.then(async () => {
    await Promise.all([...clients].map((client) => client.lastWords()));
    close();
  });
  return {closed, close};
}

/** One connection. */
class Client {
  readonly ended: Promise<unknown>;
  readonly #control: ServedSandbox;
  readonly #streams: ServedStreams;
  /** Answers and outputs that are on their way. */
  readonly #busy = new Set<Promise<void>>();

  constructor(socket: Socket, control: ServedSandbox) {
    this.#control = control;
    this.#streams = serveStreams({
      socket,
      maxStreams: MAX_STREAMS,
      services: {
        exec: (request) => control.exec(request),
        find: (id) => control.find?.(id),
        dial: (port, signal) => control.dial(port, signal),
        files: control.files,
        more: {
          [CONTROL_SERVICE.request]: (stream) => this.#take(stream, (duplex) => this.#answer(duplex)),
          [CONTROL_SERVICE.logs]: (stream) => this.#take(stream, (duplex) => this.#sendLogs(duplex)),
        },
      },
    });
    this.ended = this.#streams.ended;
  }

  close(): void {
    this.#streams.close();
  }

  /** Resolves when everything that is on its way has been sent. */
  async lastWords(): Promise<void> {
    const sent = Promise.all(this.#busy).then(() => this.#streams.session.delivered());
    await atMost(systemClock, LAST_WORDS_MS, sent);
  }

  #take(stream: Stream, handle: (duplex: StreamDuplex) => Promise<void>): void {
    stream.accept();
    const duplex = new StreamDuplex(stream);
    const done = handle(duplex).catch((error: unknown) => {
      if (duplex.destroyed) return;
      duplex.resume();
      duplex.end(encodeLine(errorLine(error)));
    });
    this.#busy.add(done);
    void done.then(() => this.#busy.delete(done));
  }

  async #answer(duplex: StreamDuplex): Promise<void> {
    const line = await readFirstLine(duplex, REQUEST_BYTES);
    if (line === undefined) return void duplex.destroy();
    const answer = await this.#ask(wellFormed(() => readControlRequest(line)));
    duplex.end(encodeLine(answerLine(answer)));
  }

  async #ask(request: ControlRequest): Promise<object> {
    const control = this.#control;
    switch (request.do) {
      case 'info':
        return await control.info();
      case 'stats':
        return await control.stats();
      case 'started':
        await control.started;
        return {};
      case 'ready':
        await control.ready();
        return {};
      case 'wait':
        return await control.ended;
      case 'tunnels':
        return {tunnels: await control.tunnels()};
      case 'terminate':
        return await control.terminate();
      case 'extend':
        return {stopsAt: await control.extend(request.ms)};
      case 'egress':
        await control.setEgress(request.rules);
        return {};
    }
  }

  async #sendLogs(duplex: StreamDuplex): Promise<void> {
    const line = await readFirstLine(duplex, REQUEST_BYTES);
    if (line === undefined) return void duplex.destroy();
    const follow = wellFormed(() => flag(parseJsonObject(line), 'follow'));
    const gone = new AbortController();
    duplex.once('close', () => gone.abort());
    const {signal} = gone;
    const pieces = this.#control.logs({follow, signal});
    await pipeline(Readable.from(encoded(pieces), {objectMode: false}), duplex).catch(() => {});
  }
}

async function* encoded(pieces: ReturnType<SandboxControl['logs']>): AsyncGenerator<Buffer> {
  for await (const piece of pieces) yield encodePiece(piece);
}

/** @throws TunlError OPTION_INVALID */
function wellFormed<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof MalformedMessage)) throw error;
    throw new TunlError('OPTION_INVALID', {reason: `The request is wrong: ${error.message}.`, cause: error});
  }
}

// A control socket: a private Unix socket of one process. One request is one line of JSON, so is its answer; then the
// connection ends. Requests, answers, connections and times are bounded.

import {chmodSync, rmSync} from 'node:fs';
import {connect, createServer, type Socket} from 'node:net';
import {join} from 'node:path';
import {isErrorCode, TunlError, toTunlError} from './errors.js';
import {listenPrivately, placeOf} from './private-socket.js';
import {checkStateSocket} from './state-trust.js';

export type ControlAnswer = {ok: true} & Record<string, unknown>;

export interface ControlOptions<Request> {
  /** Undefined for a value that is no request. */
  read: (value: unknown) => Request | undefined;
  /**
   * Undefined for a request that this process does not support. A thrown error becomes the answer.
   *
   * @param gone aborts when nobody waits for the answer any more
   */
  answer: (
    request: Request,
    gone: AbortSignal,
  ) => ControlAnswer | undefined | Promise<ControlAnswer | undefined>;
}

export interface AskOptions {
  timeoutMs: number;
  /** The limit of the answer. Default 8 KiB, as for requests. */
  mostBytes?: number;
}

/** The limit of a request. */
const MAX_BYTES = 8 * 1024;
/** An answer with an error of this length still fits into MAX_BYTES. */
const MAX_ERROR_CHARS = 1_000;
/** Only the same user can connect; a script that does not close its connections must not use up the process's descriptors. */
const MAX_CONNECTIONS = 16;
const CONNECTION_MS = 5_000;

export interface Control {
  /** Removes the socket's file, as the last action. */
  closeSync(): void;
}

/** Undefined when no socket is possible here. Signals work nevertheless. */
export async function serveControlSocket<Request>(
  folder: string,
  name: string,
  options: ControlOptions<Request>,
): Promise<Control | undefined> {
  const place = placeOf(folder, name);
  if (place === undefined) return undefined;
  const server = createServer((socket) => serve(socket, options));
  server.maxConnections = MAX_CONNECTIONS;
  try {
    await listenPrivately(server, place.path);
    chmodSync(join(folder, name), 0o600);
  } catch {
    server.close();
    place.release();
    return undefined;
  }
  server.on('error', () => {});
  server.unref();
  return {
    closeSync: () => {
      server.close();
      rmSync(join(folder, name), {force: true});
    },
  };
}

/**
 * Undefined: there is no answer within the time.
 *
 * @throws TunlError the error that the process answers; STATE_DIR when the socket belongs to another user
 */
export async function askControlSocket(
  folder: string,
  name: string,
  request: object,
  {timeoutMs, mostBytes = MAX_BYTES}: AskOptions,
): Promise<ControlAnswer | undefined> {
  if (!(await checkStateSocket(join(folder, name)))) return undefined;
  const place = placeOf(folder, name);
  if (place === undefined) return undefined;
  const socket = connect(place.path);
  try {
    const line = await new Promise<string | undefined>((resolve) => {
      setTimeout(() => resolve(undefined), timeoutMs).unref();
      socket.once('error', () => resolve(undefined));
      socket.once('close', () => resolve(undefined));
      readLine(socket, mostBytes, resolve);
      socket.write(`${JSON.stringify(request)}\n`);
    });
    const value: unknown = line === undefined ? undefined : parse(line);
    if (typeof value !== 'object' || value === null) return undefined;
    if ('error' in value) throw readError(value.error);
    return 'ok' in value && value.ok === true ? (value as ControlAnswer) : undefined;
  } finally {
    socket.destroy();
    place.release();
  }
}

function serve<Request>(socket: Socket, options: ControlOptions<Request>): void {
  socket.on('error', () => {});
  const gone = new AbortController();
  // The time limit for the request, and again for the answer. The work in between has its own limits.
  let timer = setTimeout(() => socket.destroy(), CONNECTION_MS).unref();
  socket.once('close', () => {
    clearTimeout(timer);
    gone.abort();
  });
  readLine(socket, MAX_BYTES, async (line) => {
    clearTimeout(timer);
    const said = await respond(line, options, gone.signal);
    if (socket.destroyed) return;
    timer = setTimeout(() => socket.destroy(), CONNECTION_MS).unref();
    socket.end(`${JSON.stringify(said)}\n`);
  });
}

/** Never rejects. */
async function respond<Request>(
  line: string | undefined,
  {read, answer}: ControlOptions<Request>,
  gone: AbortSignal,
): Promise<object> {
  const request = line === undefined ? undefined : read(parse(line));
  if (request === undefined) return {ok: false};
  try {
    return (await answer(request, gone)) ?? {ok: false};
  } catch (error) {
    const {code, message, next} = toTunlError(error);
    return {ok: false, error: {code, message: message.slice(0, MAX_ERROR_CHARS), next}};
  }
}

function readError(value: unknown): TunlError {
  const {code, message, next} = (value ?? {}) as Record<string, unknown>;
  return new TunlError(isErrorCode(code) ? code : 'UNEXPECTED', {
    ...(typeof message === 'string' && {reason: message}),
    ...(typeof next === 'string' && {next}),
  });
}

/** Reads the first line; undefined for one that is too long. `done` is called at most once. */
function readLine(socket: Socket, mostBytes: number, done: (line: string | undefined) => unknown): void {
  const pieces: Buffer[] = [];
  let bytes = 0;
  const onData = (piece: Buffer) => {
    const end = piece.indexOf(10);
    pieces.push(end < 0 ? piece : piece.subarray(0, end));
    bytes += piece.length;
    if (end < 0 && bytes <= mostBytes) return;
    socket.off('data', onData);
    socket.resume();
    done(end < 0 || bytes > mostBytes ? undefined : Buffer.concat(pieces).toString('utf8'));
  };
  socket.on('data', onData);
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

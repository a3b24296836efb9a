// Requests to an engine's API over its Unix socket: JSON in and out, and one upgraded connection for a container's streams.

import type {IncomingMessage} from 'node:http';
import type {Socket} from 'node:net';
import {request} from '../../core/node-http.js';
import {oneLine} from '../../core/one-line.js';

/** An answer of the engine that is an error. Its text is for people. */
export class EngineError extends Error {
  override readonly name = 'EngineError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export type Fields = Readonly<Record<string, unknown>>;

export interface ApiRequest {
  body?: object;
  /** Default 30,000. */
  timeoutMs?: number;
  signal?: AbortSignal | undefined;
}

export interface ApiAnswer {
  readonly status: number;
  readonly headers: Readonly<NodeJS.Dict<string | string[]>>;
  /** The parsed body; undefined when it is empty or no JSON. */
  readonly body: unknown;
}

const TIMEOUT_MS = 30_000;
const MAX_MESSAGE = 400;
/** More than the description of any container or image. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

export class EngineApi {
  readonly socketPath: string;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  /** @throws EngineError for a status from 400; an Error with the system's code when the engine cannot be reached */
  async ask(method: string, path: string, options: ApiRequest = {}): Promise<ApiAnswer> {
    const {response, settle} = await this.#send(method, path, options);
    try {
      const bytes = await readWhole(response);
      const body = parse(bytes);
      const status = response.statusCode ?? 0;
      if (status >= 400) throw new EngineError(status, messageOf(body, bytes));
      return {status, headers: response.headers, body};
    } finally {
      settle();
    }
  }

  /** A connection that carries a container's streams from now on. @throws as `ask` does */
  upgrade(path: string, signal?: AbortSignal): Promise<Socket> {
    const {promise, resolve, reject} = Promise.withResolvers<Socket>();
    const limit = limited(TIMEOUT_MS, signal);
    const sent = request({
      socketPath: this.socketPath,
      method: 'POST',
      path,
      agent: false,
      headers: {Connection: 'Upgrade', Upgrade: 'tcp', 'Content-Length': '0'},
      signal: limit.signal,
    });
    sent.on('upgrade', (_response, socket: Socket, head: Buffer) => {
      limit.settle();
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    sent.on('response', (response) => {
      readWhole(response)
        .then((bytes) => {
          throw new EngineError(response.statusCode ?? 0, messageOf(parse(bytes), bytes));
        })
        .catch(reject);
    });
    sent.on('error', (error) => reject(limit.reason() ?? error));
    sent.end();
    return promise.finally(() => limit.settle());
  }

  #send(
    method: string,
    path: string,
    {body, timeoutMs = TIMEOUT_MS, signal}: ApiRequest,
  ): Promise<{response: IncomingMessage; settle: () => void}> {
    const {promise, resolve, reject} = Promise.withResolvers<{
      response: IncomingMessage;
      settle: () => void;
    }>();
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const limit = limited(timeoutMs, signal);
    const sent = request(
      {
        socketPath: this.socketPath,
        method,
        path,
        // An engine that is started on demand ends when it has no connection, so none is kept.
        agent: false,
        headers: {
          ...(bytes !== undefined && {'Content-Type': 'application/json'}),
          'Content-Length': String(bytes?.length ?? 0),
        },
        signal: limit.signal,
      },
      (response) => resolve({response, settle: limit.settle}),
    );
    sent.on('error', (error) => {
      limit.settle();
      reject(limit.reason() ?? error);
    });
    sent.end(bytes);
    return promise;
  }
}

/** The caller's signal and a time limit as one signal. */
function limited(ms: number, outer: AbortSignal | undefined) {
  const controller = new AbortController();
  const onAbort = () => controller.abort(outer?.reason);
  if (outer?.aborted) onAbort();
  outer?.addEventListener('abort', onAbort, {once: true});
  const timer = setTimeout(() => {
    controller.abort(
      Object.assign(new Error(`The engine did not answer for ${ms} ms.`), {code: 'ETIMEDOUT'}),
    );
  }, ms);
  return {
    signal: controller.signal,
    /** The reason of an abort, in place of Node's AbortError. */
    reason: (): unknown => (controller.signal.aborted ? controller.signal.reason : undefined),
    settle: () => {
      clearTimeout(timer);
      outer?.removeEventListener('abort', onAbort);
    },
  };
}

async function readWhole(response: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of response as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > MAX_ANSWER_BYTES) throw new EngineError(0, 'The engine’s answer is too long.');
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

function parse(bytes: Buffer): unknown {
  try {
    return bytes.length === 0 ? undefined : JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

function messageOf(body: unknown, bytes: Buffer): string {
  const {message, cause} = fields(body);
  const text = typeof message === 'string' && message !== '' ? message : cause;
  const line = oneLine(typeof text === 'string' ? text : bytes.toString('utf8', 0, 4_000));
  // Engines put one program's words before those of the next; the last ones are the reason.
  return line.length > MAX_MESSAGE ? `…${line.slice(-MAX_MESSAGE)}` : line;
}

/** The fields of a JSON object; none for anything else. */
export function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

export const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** The texts of an object whose values are texts, such as labels. */
export function textsOf(value: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(fields(value)).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

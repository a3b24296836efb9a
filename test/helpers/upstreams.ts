// Local services for tests, each with one behaviour.
import {createHash} from 'node:crypto';
import {once} from 'node:events';
import {createServer as createHttpServer, type IncomingMessage, type ServerResponse} from 'node:http';
import {createServer, type Socket} from 'node:net';
import {pipeline} from 'node:stream/promises';
import {type WebSocket, WebSocketServer} from 'ws';
import {Digest, source} from './bytes.js';
import type {Scope} from './scope.js';

export interface HttpUpstream {
  port: number;
  /** Sends one server-sent event to every open /events. */
  tick(data: string): void;
  /** Ends every open /events. */
  endEvents(): void;
  /** Resolves when `count` visitors have /events open. */
  listening(count: number): Promise<void>;
  /** Resolves when `count` uploads have begun since the start. */
  uploading(count: number): Promise<void>;
  /** Method, URL and raw header lines of all requests and upgrades so far. */
  seen: string[];
}

/**
 * `/` a page, `/bytes?n=` that many bytes, `PUT /upload` answers {bytes, sha256}, `/echo` a WebSocket that echoes,
 * `/events` server-sent events, one at each `tick`, `/headers` the request's raw header lines.
 */
export async function httpUpstream(
  scope: Scope,
  page = '<!doctype html><h1>upstream</h1>',
): Promise<HttpUpstream> {
  const events = new Set<ServerResponse>();
  const seen: string[] = [];
  const see = ({method, url, rawHeaders}: IncomingMessage) =>
    seen.push(`${method} ${url} ${rawHeaders.join('|')}`);
  let uploads = 0;
  const server = createHttpServer((request, response) => {
    see(request);
    const url = new URL(request.url ?? '/', 'http://upstream');
    void answer(request, response, url).catch(() => response.destroy());
  });
  async function answer(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    switch (url.pathname) {
      case '/bytes': {
        const length = Number(url.searchParams.get('n'));
        response.writeHead(200, {'content-length': length, 'content-type': 'application/octet-stream'});
        return pipeline(source(length, Number(url.searchParams.get('seed') ?? 0)), response);
      }
      case '/upload': {
        const digest = new Digest();
        uploads += 1;
        server.emit('uploads');
        await pipeline(request, digest);
        response.end(JSON.stringify({bytes: digest.bytes, sha256: digest.sha256()}));
        return;
      }
      case '/events':
        response.writeHead(200, {'content-type': 'text/event-stream', 'cache-control': 'no-store'});
        response.flushHeaders();
        events.add(response);
        response.on('close', () => events.delete(response));
        server.emit('events');
        return;
      case '/headers':
        response.end(JSON.stringify(request.rawHeaders));
        return;
      default:
        response.writeHead(200, {'content-type': 'text/html; charset=utf-8'});
        response.end(page);
    }
  }
  const sockets = new WebSocketServer({server, path: '/echo', perMessageDeflate: false});
  sockets.on('connection', (socket: WebSocket, request) => {
    see(request);
    socket.on('message', (data, isBinary) => socket.send(data, {binary: isBinary}));
  });
  const port = await scope.listen(server);
  return {
    port,
    tick: (data) => {
      for (const response of events) response.write(`data: ${data}\n\n`);
    },
    endEvents: () => {
      for (const response of events) response.end();
    },
    listening: async (count) => {
      while (events.size < count) await once(server, 'events');
    },
    seen,
    uploading: async (count) => {
      while (uploads < count) await once(server, 'uploads');
    },
  };
}

/** A TCP service that calls a function with each connection; half-close is up to that function. */
export async function tcpUpstream(
  scope: Scope,
  serve: (socket: Socket) => void,
  host?: string,
): Promise<number> {
  const server = createServer({allowHalfOpen: true, noDelay: true}, (socket) => {
    socket.on('error', () => {});
    serve(socket);
  });
  return scope.listen(server, host);
}

/** Sends everything back, and its own end after the visitor's. */
export function echoUpstream(scope: Scope): Promise<number> {
  return tcpUpstream(scope, (socket) => socket.pipe(socket));
}

/** Sends nothing until the visitor has ended, then answers with the SHA-256 of all bytes, and ends. */
export function replyAfterEndUpstream(scope: Scope): Promise<number> {
  return tcpUpstream(scope, (socket) => {
    const hash = createHash('sha256');
    socket.on('data', (chunk: Buffer) => void hash.update(chunk));
    socket.on('end', () => socket.end(`${hash.digest('hex')}\n`));
  });
}

/** Takes connections and never reads from them. */
export function neverReadingUpstream(scope: Scope): Promise<number> {
  return tcpUpstream(scope, (socket) => socket.pause());
}

/** Reads at most `bytesPerSecond`; answers nothing. */
export function slowReadingUpstream(scope: Scope, bytesPerSecond: number): Promise<number> {
  return tcpUpstream(scope, (socket) => {
    const stepMs = 50;
    const piece = Math.max(1, Math.floor((bytesPerSecond * stepMs) / 1000));
    const timer = setInterval(() => socket.read(Math.min(piece, socket.readableLength || 1)), stepMs);
    socket.on('end', () => socket.end());
    socket.on('close', () => clearInterval(timer));
  });
}

/** Sends bytes as long as the visitor reads. */
export function pouringUpstream(scope: Scope, totalBytes: number): Promise<number> {
  return tcpUpstream(scope, (socket) => void pipeline(source(totalBytes), socket).catch(() => {}));
}

export interface Recorder {
  port: number;
  /** The bytes of each connection, in order of arrival. */
  recorded: Recording[];
  /** The n-th connection, now or later. */
  connection(index: number): Promise<Recording>;
}

export interface Recording {
  socket: Socket;
  data(): Buffer;
  /** Resolves with the first `bytes` bytes when they have arrived. */
  received(bytes: number): Promise<Buffer>;
  /** Resolves when the peer has ended. */
  ended: Promise<void>;
  /** Resolves when the socket is closed, with the error's code if there was one. */
  closed: Promise<string | undefined>;
}

/** Records exactly what arrives; the test answers by hand. */
export async function recordingUpstream(scope: Scope): Promise<Recorder> {
  const recorded: Recording[] = [];
  const waiting = new Set<() => void>();
  const port = await tcpUpstream(scope, (socket) => {
    recorded.push(record(socket));
    for (const check of [...waiting]) check();
  });
  return {
    port,
    recorded,
    connection: (index) =>
      new Promise((resolve) => {
        const check = () => {
          const found = recorded[index];
          if (found === undefined) return;
          waiting.delete(check);
          resolve(found);
        };
        waiting.add(check);
        check();
      }),
  };
}

/** Records what a socket of either side receives. */
export function record(socket: Socket): Recording {
  const chunks: Buffer[] = [];
  const waiting = new Set<() => void>();
  let length = 0;
  let error: NodeJS.ErrnoException | undefined;
  socket.on('error', (failure: NodeJS.ErrnoException) => {
    error = failure;
  });
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    length += chunk.length;
    for (const check of [...waiting]) check();
  });
  const closed = new Promise<string | undefined>((resolve) => socket.on('close', () => resolve(error?.code)));
  return {
    socket,
    data: () => Buffer.concat(chunks),
    received: (bytes) =>
      new Promise((resolve, reject) => {
        const check = () => {
          if (length < bytes) return;
          waiting.delete(check);
          resolve(Buffer.concat(chunks).subarray(0, bytes));
        };
        waiting.add(check);
        check();
        void closed.then((code) =>
          reject(new Error(`closed (${code ?? 'in order'}) after ${length} of ${bytes} bytes`)),
        );
      }),
    ended: new Promise((resolve) => socket.on('end', () => resolve())),
    closed,
  };
}

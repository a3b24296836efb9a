// HTTP for strangers: the relay reads only one request of each connection.

import type {IncomingMessage, Server, ServerResponse} from 'node:http';
import type {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {createServer} from '../../core/node-http.js';

/** Node's own limit: its parser answers a longer head with an error. */
const MAX_HEAD_BYTES = 16 * 1024;
const HEAD_END = Buffer.from('\r\n\r\n');
const CR = 13;
const LF = 10;

export interface OneRequestHandlers {
  onRequest: (req: IncomingMessage, res: ServerResponse) => void;
  /** `head`: bytes that came after the request. Without a handler the connection ends. */
  onUpgrade?: (req: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

/**
 * Gives connections to an HTTP server one request at a time.
 *
 * Node's server parses everything in a chunk before it sends the first answer, despite `Connection: close` or
 * `maxRequestsPerSocket`: 64 KiB of pipelined requests cost 25 ms. This class passes on the bytes up to the end of the first
 * head, and nothing that comes later. The caller sets time limits.
 */
export class OneRequest {
  readonly #handlers: OneRequestHandlers;
  /** Made for the first request: before the first agent a relay needs no HTTP. */
  #server: Server | undefined;
  readonly #behind = new WeakMap<Duplex, Buffer>();

  constructor(handlers: OneRequestHandlers) {
    this.#handlers = handlers;
  }

  /** Takes a connection that was just accepted, or has just become secure. */
  accept = (socket: Socket): void => {
    const leave = () => socket.destroy();
    socket.on('error', leave);
    socket.on('end', leave);
    readHead(socket, (head, rest) => {
      socket.off('error', leave);
      socket.off('end', leave);
      if (rest.length > 0) this.#behind.set(socket, rest);
      socket.unshift(head);
      this.#server ??= this.#makeServer(this.#handlers);
      this.#server.emit('connection', socket);
    });
  };

  #makeServer({onRequest, onUpgrade}: OneRequestHandlers): Server {
    const server = createServer((req, res) => {
      // This also removes the parser's listener: nobody reads later bytes.
      req.socket.removeAllListeners('data');
      req.socket.on('data', () => {});
      req.resume();
      res.setHeader('Connection', 'close');
      onRequest(req, res);
    });
    server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', () => {});
      if (onUpgrade === undefined) socket.destroy();
      else onUpgrade(req, socket, Buffer.concat([head, this.#behind.get(socket) ?? Buffer.alloc(0)]));
    });
    server.on('clientError', (_error, socket) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
      else socket.destroy();
    });
    return server;
  }
}

/** Calls back once: when a head is complete, or too long. */
function readHead(socket: Socket, onHead: (head: Buffer, rest: Buffer) => void): void {
  let bytes: Buffer = Buffer.alloc(0);
  const read = () => {
    for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
      const seen = Math.max(0, bytes.length - HEAD_END.length + 1);
      bytes = bytes.length === 0 ? withoutLineEnds(chunk) : Buffer.concat([bytes, chunk]);
      const at = bytes.indexOf(HEAD_END, seen);
      if (at < 0 && bytes.length <= MAX_HEAD_BYTES) continue;
      const end = at < 0 ? bytes.length : at + HEAD_END.length;
      socket.off('readable', read);
      onHead(bytes.subarray(0, end), bytes.subarray(end));
      return;
    }
  };
  socket.on('readable', read);
}

/** Empty lines before a request are not a part of it (RFC 9112 §2.2). */
function withoutLineEnds(chunk: Buffer): Buffer {
  let start = 0;
  while (chunk[start] === CR || chunk[start] === LF) start += 1;
  return Buffer.from(chunk.subarray(start));
}

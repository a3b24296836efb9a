// A gate for visitors with HTTP/1: Node's server reads their requests, Node's client sends them on.

import type {IncomingMessage, Server, ServerResponse} from 'node:http';
import type {Duplex} from 'node:stream';
import {createServer} from '../../../core/node-http.js';
import type {UpstreamDial} from '../upstream.js';
import {refusal} from './answers.js';
import type {GateVisit} from './gated-upstream.js';
import type {Gatehouse} from './gatehouse.js';
import {Http1Visit} from './http1-visit.js';
import type {UpstreamLine} from './upstream-line.js';

/** Cookies of some applications are long; the default of Node is 16 KiB. */
const MAX_HEAD_BYTES = 64 * 1024;

export class Http1Gate {
  readonly #house: Gatehouse;
  readonly #line: UpstreamLine;
  readonly #visits = new WeakMap<Duplex, Http1Visit>();
  /** It listens nowhere. */
  readonly #server: Server;

  constructor(house: Gatehouse, line: UpstreamLine) {
    this.#house = house;
    this.#line = line;
    // Without the hint of a time-out in its answers, because the upstream decides when a connection ends.
    const server = createServer({
      maxHeaderSize: MAX_HEAD_BYTES,
      keepAliveTimeout: 0,
      insecureHTTPParser: false,
    });
    // A limit would drop the headers beyond it in silence. The size of the head bounds them.
    server.maxHeadersCount = 0;
    // A visitor who has sent its request and half-closed still gets the answer; Node's types do not list this option.
    Object.assign(server, {httpAllowHalfOpen: true});
    const onRequest = (request: IncomingMessage, response: ServerResponse) =>
      this.#visits.get(request.socket)?.request(request, response);
    server.on('request', onRequest).on('checkContinue', onRequest).on('checkExpectation', onRequest);
    server.on('upgrade', (request, socket, head) => this.#visits.get(socket)?.upgrade(request, head));
    server.on('connect', (_request, socket) => refuseRaw(socket, 405, 'Method Not Allowed'));
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      if (this.#visits.get(socket)?.isBusy || !socket.writable || error.code === 'ECONNRESET')
        socket.destroy();
      else if (error.code === 'HPE_HEADER_OVERFLOW')
        refuseRaw(socket, 431, 'Request Header Fields Too Large');
      else refuseRaw(socket, 400, 'Bad Request');
    });
    this.#server = server;
  }

  begin(inner: Duplex, outer: Duplex, dial: UpstreamDial): GateVisit {
    const visit = new Http1Visit(inner, outer, {house: this.#house, line: this.#line, dial});
    this.#visits.set(inner, visit);
    this.#server.emit('connection', inner);
    return visit;
  }
}

/** For bytes that are no request: there is no response object. */
function refuseRaw(socket: Duplex, status: number, reason: string): void {
  const {headers = {}, body = ''} = refusal(
    {status, code: 'REQUEST_INVALID', title: 'The request is not valid', message: 'It was not passed on.'},
    {isNavigation: false},
  );
  const all = {...headers, 'content-length': String(Buffer.byteLength(body)), connection: 'close'};
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${reason}\r\n${lines.join('')}\r\n${body}`);
}

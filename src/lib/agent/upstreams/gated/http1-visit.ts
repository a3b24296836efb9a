// One connection of a visitor with HTTP/1 through a gate. It has one connection to the upstream, from the first request on that
// is let in, and the two end together.

import type {ClientRequest, IncomingMessage, ServerResponse} from 'node:http';
import type {Duplex} from 'node:stream';
import type {UpstreamDial} from '../upstream.js';
import {refusal} from './answers.js';
import type {GateVisit} from './gated-upstream.js';
import type {Admitted, Gatehouse, Ruling} from './gatehouse.js';
import {valuesOf, without} from './headers.js';
import {endToEnd} from './hop-by-hop.js';
import {
  give,
  inform,
  keepsAlive,
  mayHaveTrailers,
  pairsOf,
  requestHeaders,
  send,
  wantsPage,
} from './http1-messages.js';
import {OneConnection} from './one-connection.js';
import {Stays} from './stays.js';
import type {UpstreamLine} from './upstream-line.js';

/** For the first request that is let in, ms. Later the upstream and the relay decide how long a connection may be quiet. */
export const STRANGER_MS = 30_000;
/** From the end of the last answer until a visitor that still sends is cut off, ms: a reset at once could overtake the answer. */
const LINGER_MS = 2_000;

/** Requests that may wait for the answers to others before them; no browser sends any. */
const MAX_PIPELINED = 64;

export interface VisitContext {
  readonly house: Gatehouse;
  readonly line: UpstreamLine;
  readonly dial: UpstreamDial;
}

export class Http1Visit implements GateVisit {
  readonly #inner: Duplex;
  readonly #outer: Duplex;
  readonly #context: VisitContext;
  readonly #agent: OneConnection;
  readonly #stays: Stays;
  #timer: NodeJS.Timeout | undefined;
  /** Requests without a whole answer. */
  #open = 0;
  /** The answer to the newest request. */
  #last: ServerResponse | undefined;
  #isUpgraded = false;
  /** The upstream has ended its connection. */
  #isUpstreamGone = false;

  constructor(inner: Duplex, outer: Duplex, context: VisitContext) {
    this.#inner = inner;
    this.#outer = outer;
    this.#context = context;
    this.#agent = new OneConnection(context, () => this.#upstreamGone());
    this.#stays = new Stays(() => this.reset());
    this.#timer = setTimeout(() => this.reset(), STRANGER_MS).unref();
    inner.once('finish', () => {
      if (!this.#isUpgraded) this.#cutIn(LINGER_MS);
    });
    inner.once('close', () => {
      clearTimeout(this.#timer);
      this.#stays.release();
      this.#agent.destroy();
    });
  }

  get isBusy(): boolean {
    return this.#open > 0 || this.#isUpgraded;
  }

  reset(): void {
    this.#agent.reset();
    this.#inner.destroy();
    this.#outer.destroy();
  }

  request(request: IncomingMessage, response: ServerResponse): void {
    this.#open += 1;
    if (this.#open > MAX_PIPELINED) {
      this.reset();
      return;
    }
    response.once('close', () => {
      this.#open -= 1;
      if (this.#open === 0 && this.#isUpstreamGone) this.#inner.end();
    });
    const rule = (ruling: Ruling) => {
      if (response.destroyed) return;
      if ('answer' in ruling) give(response, ruling.answer);
      else this.#pass(request, response, ruling.admitted);
    };
    const begin = () => this.#judge(request, false, rule);
    // A request that came before the answer to the one before it waits, so that the upstream has one connection.
    if (this.#open === 1) begin();
    else this.#last?.once('close', begin);
    this.#last = response;
  }

  /** @param head the first bytes of the other protocol, if any */
  upgrade(request: IncomingMessage, head: Buffer): void {
    // An earlier answer would mix with the other protocol.
    if (this.#open > 0) {
      this.reset();
      return;
    }
    const inner = this.#inner;
    this.#isUpgraded = true;
    inner.on('error', () => {});
    if (head.length > 0) inner.unshift(head);
    this.#judge(request, true, (ruling) => {
      if (inner.destroyed) return;
      if ('answer' in ruling) this.#answerUpgrade(request, (response) => give(response, ruling.answer));
      else this.#passUpgrade(request, ruling.admitted);
    });
  }

  #judge(request: IncomingMessage, isUpgrade: boolean, rule: (ruling: Ruling) => void): void {
    const {method = '', url: target = '', rawHeaders: headers, httpVersion} = request;
    const raw = {method, target, authority: undefined, headers, httpVersion, isUpgrade};
    const ruling = this.#context.house.judge(raw, this.#context.dial.visitor);
    const ruled = (settled: Ruling) =>
      this.#safely(() => {
        if ('admitted' in settled) this.#admitted(settled.admitted);
        rule(settled);
      });
    if (ruling instanceof Promise) void ruling.then(ruled, () => this.reset());
    else ruled(ruling);
  }

  /** Node checks what it sends. A message that it takes from one side and refuses to send ends this connection alone. */
  #safely(act: () => void): void {
    try {
      act();
    } catch {
      this.#breakOff();
    }
  }

  #admitted({stays}: Admitted): void {
    clearTimeout(this.#timer);
    this.#stays.hold(stays);
  }

  #pass(request: IncomingMessage, response: ServerResponse, admitted: Admitted): void {
    const out = this.#agent.request(request.method ?? '', admitted.path, requestHeaders(request, admitted));
    let isContinued = valuesOf(request.rawHeaders, 'expect').length === 0;
    // The visitor may have left its body out, so no further request can be found behind it.
    const mayGoOn = () => isContinued;
    out.on('continue', () => {
      isContinued = true;
      response.writeContinue();
    });
    out.on('information', ({statusCode, rawHeaders}) => {
      if (statusCode !== 100 && request.httpVersion !== '1.0')
        this.#safely(() => inform(response, statusCode, rawHeaders));
    });
    out.on('response', (reply) => this.#safely(() => this.#answer(response, reply, admitted, mayGoOn)));
    out.on('upgrade', (_reply, socket) => {
      // It was not asked to.
      socket.destroy();
      this.#breakOff();
    });
    out.on('error', (error) => this.#safely(() => this.#failed(request, response, out, error)));
    response.once('close', () => {
      if (!response.writableFinished) out.destroy();
    });
    const {house} = this.#context;
    send(request, out, {safely: (act) => this.#safely(act), trailers: (sent) => house.trailers(sent)});
  }

  /** The upstream's answer for the visitor. */
  #answer(
    response: ServerResponse,
    reply: IncomingMessage,
    {setCookies}: Admitted,
    mayGoOn: () => boolean,
  ): void {
    const headers = endToEnd(reply.rawHeaders);
    for (const cookie of setCookies) headers.push('Set-Cookie', cookie);
    if (!keepsAlive(reply) || !mayGoOn()) headers.push('Connection', 'close');
    const sent = mayHaveTrailers(response, reply) ? headers : without(headers, (name) => name === 'trailer');
    response.sendDate = false;
    response.writeHead(reply.statusCode ?? 502, reply.statusMessage ?? '', sent);
    // An event stream may send its first byte much later.
    response.flushHeaders();
    reply.once('end', () => {
      this.#safely(() => {
        if (reply.rawTrailers.length > 0) response.addTrailers(pairsOf(reply.rawTrailers));
        response.end();
      });
    });
    // A part of an answer must not look like the whole one.
    reply.once('error', () => this.#breakOff());
    reply.pipe(response, {end: false});
  }

  #failed(request: IncomingMessage, response: ServerResponse, out: ClientRequest, error: Error): void {
    if (response.headersSent) {
      this.#breakOff();
      return;
    }
    // The upstream ended a kept connection when the request came. A visitor who sees that repeats it, as without a gate.
    if (out.reusedSocket) {
      this.reset();
      return;
    }
    if (response.destroyed) return;
    const {line, dial} = this.#context;
    give(response, refusal(line.refusalFor(error, dial), {isNavigation: wantsPage(request)}));
  }

  #passUpgrade(request: IncomingMessage, admitted: Admitted): void {
    const inner = this.#inner;
    const headers = requestHeaders(request, admitted);
    const protocols = valuesOf(request.rawHeaders, 'upgrade').join(', ');
    headers.push('Connection', 'Upgrade', 'Upgrade', protocols);
    const out = this.#agent.request(request.method ?? '', admitted.path, headers);
    const gone = () => out.destroy();
    inner.once('close', gone);
    out.on('upgrade', (reply, socket, head) => {
      inner.off('close', gone);
      const lines = pairsOf(reply.rawHeaders).map(([name, value]) => `${name}: ${value}\r\n`);
      const cookies = admitted.setCookies.map((cookie) => `Set-Cookie: ${cookie}\r\n`);
      inner.write(
        Buffer.from(
          `HTTP/1.1 101 ${reply.statusMessage ?? ''}\r\n${[...lines, ...cookies].join('')}\r\n`,
          'latin1',
        ),
      );
      if (head.length > 0) socket.unshift(head);
      socket.once('error', () => this.#breakOff());
      inner.once('close', () => {
        if (!socket.writableFinished || !socket.readableEnded) this.#agent.reset();
      });
      socket.pipe(inner);
      inner.pipe(socket);
    });
    let isAnswered = false;
    out.on('response', (reply) => {
      isAnswered = true;
      this.#safely(() =>
        this.#answerUpgrade(request, (response) => this.#answer(response, reply, admitted, () => false)),
      );
    });
    out.on('error', (error) => {
      if (inner.destroyed) return;
      // The visitor has the beginning of an answer: a second one would lie within it.
      if (isAnswered) return this.#breakOff();
      const about = this.#context.line.refusalFor(error, this.#context.dial);
      this.#safely(() =>
        this.#answerUpgrade(request, (response) => give(response, refusal(about, {isNavigation: false}))),
      );
    });
    out.end();
  }

  /** Node gives no response object for an upgrade. */
  #answerUpgrade(request: IncomingMessage, answer: (response: ServerResponse) => void): void {
    const inner = this.#inner;
    const {ServerResponse: Response} = process.getBuiltinModule('node:http');
    const response = new Response(request);
    this.#isUpgraded = false;
    // Until the connection ends: an upstream that has ended its own must not end this one before the answer is whole.
    this.#open += 1;
    response.shouldKeepAlive = false;
    // Types name a socket, and any Duplex is taken.
    response.assignSocket(inner as Parameters<ServerResponse['assignSocket']>[0]);
    response.once('finish', () => inner.end());
    inner.resume();
    answer(response);
  }

  /** The visitor gets everything that was written, and then sees that the connection broke. */
  #breakOff(): void {
    this.#agent.reset();
    if (this.#inner.destroyed || this.#inner.writableEnded) return void this.#outer.destroy();
    this.#inner.write('', () => this.#outer.destroy());
  }

  #upstreamGone(): void {
    this.#isUpstreamGone = true;
    if (this.#open === 0 && !this.#isUpgraded) this.#inner.end();
  }

  #cutIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#outer.destroy(), ms).unref();
  }
}

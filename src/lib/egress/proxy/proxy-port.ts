// One port of this machine that speaks HTTP (CONNECT, and requests to http:// URLs) and SOCKS 5, in front of an egress.

import type {IncomingMessage, Server, ServerResponse} from 'node:http';
import type {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {stopReading} from '../../bytes/reading.js';
import {type TunlError, toTunlError} from '../../core/errors.js';
import {createServer} from '../../core/node-http.js';
import {oneLine} from '../../core/one-line.js';
import {formatHostPort, type HostPort, listenAddress} from '../../protocol/targets.js';
import {carry} from '../carry.js';
import type {EgressClient} from '../client.js';
import {type EgressPort, LocalPort} from '../local-port.js';
import {answerTo, failureAnswer, type HttpAnswer, httpAnswer, rawAnswer} from './answers.js';
import {readFirst} from './first-bytes.js';
import {answerPlain, passPlain, readAuthority, readPlain} from './plain-http.js';
import {PROXY_USER, ProxySecret} from './secret.js';
import {
  type Read,
  replyMessage,
  SOCKS_REPLY,
  SOCKS_VERSION,
  SOCKS4_REFUSED,
  SOCKS4_VERSION,
} from './socks.js';
import {greetSocks, leave} from './socks-client.js';

/** From a connection to the end of its request's head, ms. */
const HEAD_MS = 10_000;
const MAX_HEAD_BYTES = 64 * 1024;
/** Between two requests of one connection, ms. */
const KEEP_ALIVE_MS = 60_000;
/** Connections whose request is not whole. The oldest one leaves when another comes. */
const MOST_STRANGERS = 256;

export interface ProxyPortOptions {
  /** The address of this machine. Default 127.0.0.1. */
  readonly host?: string | undefined;
  /** Default 0: a free port. */
  readonly port?: number | undefined;
  /** False: everybody who reaches the port may use the egress. Default true: only who has the secret of this run. */
  readonly auth?: boolean | undefined;
  /** A connection was not made. */
  readonly onFailed?: ((error: TunlError, destination: string) => void) | undefined;
}

export interface ProxyPort extends EgressPort {
  /** `http://tunl:SECRET@127.0.0.1:41080`: for HTTP_PROXY and the like. It contains the secret. */
  readonly url: string;
  /** Undefined without `auth`. */
  readonly password: string | undefined;
}

/** `HOST:PORT`, or the port of loopback alone. @throws TunlError OPTION_INVALID, PORT_* */
export function readListen(text: string): HostPort {
  return listenAddress(/^\d+$/.test(text.trim()) ? `127.0.0.1:${text.trim()}` : text);
}

const FOREIGN = 'The proxy needs its password: use the whole URL that tunl has printed.';

/** @throws TunlError LISTEN_* */
export async function openProxy(client: EgressClient, options: ProxyPortOptions = {}): Promise<ProxyPort> {
  const {host = '127.0.0.1', port = 0, auth = true, onFailed = () => {}} = options;
  const secret = auth ? new ProxySecret() : undefined;
  const served = new ProxyServer({client, secret, onFailed});
  const local = await LocalPort.open(served.server, {host, port}, (socket, held) =>
    served.serve(socket, held),
  );
  const login = secret === undefined ? '' : `${PROXY_USER}:${secret.text}@`;
  return Object.assign(local, {url: `http://${login}${local.address}`, password: secret?.text});
}

interface ProxyServerOptions {
  readonly client: EgressClient;
  readonly secret: ProxySecret | undefined;
  readonly onFailed: (error: TunlError, destination: string) => void;
}

type Held = (cut: () => void) => void;

class ProxyServer {
  readonly server: Server;
  readonly #options: ProxyServerOptions;
  /** With the end of their time. */
  readonly #strangers = new Map<Socket, NodeJS.Timeout>();
  readonly #held = new WeakMap<Duplex, Held>();
  readonly #readHttp: (socket: Socket) => void;

  constructor(options: ProxyServerOptions) {
    this.#options = options;
    this.server = createServer({
      maxHeaderSize: MAX_HEAD_BYTES,
      headersTimeout: HEAD_MS,
      connectionsCheckingInterval: 1_000,
      // An upload may take its time.
      requestTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_MS,
      insecureHTTPParser: false,
      noDelay: true,
    });
    this.server.maxHeadersCount = 0;
    // A client that has sent its request and half-closed still gets the answer; Node's types do not list this option.
    Object.assign(this.server, {httpAllowHalfOpen: true});
    // Node's own listener reads HTTP from a connection. It gets those that do not begin with SOCKS.
    const [readHttp] = this.server.listeners('connection');
    this.server.removeAllListeners('connection');
    this.#readHttp = (socket) => readHttp?.call(this.server, socket);
    this.server.on('request', (request, response) => this.#onRequest(request, response));
    this.server.on('checkContinue', (request, response) => {
      response.writeContinue();
      this.#onRequest(request, response);
    });
    this.server.on('connect', (request, socket, head) => {
      if (head.length > 0) socket.unshift(head);
      void this.#onConnect(request, socket as Socket);
    });
  }

  async serve(socket: Socket, held: Held): Promise<void> {
    const [oldest] = this.#strangers.size >= MOST_STRANGERS ? this.#strangers.keys() : [];
    oldest?.destroy();
    this.#strangers.set(
      socket,
      setTimeout(() => socket.destroy(), HEAD_MS),
    );
    socket.once('close', () => this.#known(socket));
    const first = await readFirst(socket, firstByte, 1);
    if (first === SOCKS_VERSION) {
      const to = await greetSocks(socket, this.#options.secret);
      this.#known(socket);
      if (to !== undefined) await this.#serveSocks(socket, to, held);
    } else if (first === SOCKS4_VERSION) leave(socket, Buffer.from(SOCKS4_REFUSED));
    else if (first === undefined) socket.destroy();
    else {
      this.#held.set(socket, held);
      this.#readHttp(socket);
    }
  }

  /** Its request is whole, or it has gone. For later requests of the connection Node's server has the same limits. */
  #known(socket: Socket): void {
    clearTimeout(this.#strangers.get(socket));
    this.#strangers.delete(socket);
  }

  async #serveSocks(socket: Socket, to: HostPort, held: Held): Promise<void> {
    await this.#carry(socket, to, held, {
      connected: replyMessage(SOCKS_REPLY.done),
      failed: (error) => replyMessage(answerTo(error).socks),
    });
  }

  async #onConnect(request: IncomingMessage, socket: Socket): Promise<void> {
    this.#known(socket);
    const refuse = (answer: HttpAnswer) => leave(socket, Buffer.from(rawAnswer(answer)));
    if (!this.#mayPass(request)) return refuse(needsPassword());
    const to = readAuthority(request.url ?? '', 0);
    if (to === undefined) return refuse(httpAnswer(400, 'Write the destination of CONNECT as HOST:PORT.'));
    const held = this.#held.get(socket) ?? (() => {});
    await this.#carry(socket, to, held, {
      connected: Buffer.from('HTTP/1.1 200 Connection established\r\n\r\n'),
      failed: (error) => Buffer.from(rawAnswer(failureAnswer(error))),
    });
  }

  async #carry(
    socket: Socket,
    to: HostPort,
    held: Held,
    messages: {connected: Buffer; failed: (error: TunlError) => Buffer},
  ): Promise<void> {
    // Bytes that the client sends before the answer wait in the kernel.
    stopReading(socket);
    const {client, onFailed} = this.#options;
    const about = {
      client,
      to,
      onConnected: () => void socket.write(messages.connected),
      onFailed: (error: TunlError) => {
        onFailed(error, shown(to));
        leave(socket, messages.failed(error));
      },
    };
    await carry(socket, about, held);
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    this.#known(request.socket);
    const to = this.#mayPass(request) ? readPlain(request.url ?? '') : needsPassword();
    if ('status' in to) {
      answerPlain(response, to);
      return;
    }
    passPlain(this.#options.client, to, {request, response}).catch((thrown: unknown) => {
      const error = toTunlError(thrown);
      if (response.destroyed) return;
      this.#options.onFailed(error, shown(to));
      answerPlain(response, failureAnswer(error));
    });
  }

  #mayPass({headers}: IncomingMessage): boolean {
    const {secret} = this.#options;
    return secret === undefined || secret.isIn(headers['proxy-authorization'] ?? '');
  }
}

/** A client may name anything. */
function shown({host, port}: HostPort): string {
  return oneLine(formatHostPort(host, port)).slice(0, 300);
}

function needsPassword(): HttpAnswer {
  return httpAnswer(407, FOREIGN, {'Proxy-Authenticate': 'Basic realm="tunl egress"'});
}

/** It stays in the socket. */
function firstByte(bytes: Buffer): Read<number> {
  const [value] = bytes;
  return value === undefined ? undefined : {value, length: 0};
}

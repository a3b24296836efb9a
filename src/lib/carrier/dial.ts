// The agent's side of opening a carrier: name look-up, TCP, perhaps a proxy, TLS, upgrade. Every failure has a code.

import type {IncomingHttpHeaders, IncomingMessage} from 'node:http';
// Its `request` is node:http's; importing node:http as a module loads fetch with it, 40 ms at every start.
import https from 'node:https';
import type {Socket} from 'node:net';
import {systemCode, TunlError} from '../core/errors.js';
import {randomBytes} from '../core/node-crypto.js';
import {Attempt} from './attempt.js';
import {ignore, openTcp, openTls, openTunnel} from './connect.js';
import {answerError, failure, type Peer, socketError} from './dial-errors.js';
import {acceptFor, SUBPROTOCOL} from './handshake.js';
import {proxyFor} from './proxy.js';
import {parseRelayUrl, type RelayAddress} from './relay-url.js';
import {type CarrierTuning, WebSocketCarrier} from './ws-carrier.js';

export interface DialOptions extends CarrierTuning {
  /** `https://relay.example.net[:port]` */
  url: string;
  /** The path of the upgrade request. */
  path: string;
  /** Sent as `Authorization: Bearer`. */
  token?: string;
  /** Headers of the upgrade request besides those of the handshake. */
  headers?: Record<string, string>;
  /** PEM; trusted besides the system's authorities. */
  ca?: string;
  /** PEM; the CA of this user's own relays, tried last. */
  ownCa?: string | undefined;
  /** Protocols that ALPN offers after `http/1.1`; no relay chooses them. */
  alpn?: readonly string[];
  /** For the whole attempt, ms. */
  timeoutMs: number;
  signal?: AbortSignal;
  /** Only addresses for which this returns true are dialled. A proxy resolves the name itself. */
  accepts?: (address: string) => boolean;
  /** HTTPS_PROXY and NO_PROXY. Default `process.env`. */
  env?: NodeJS.ProcessEnv;
}

export interface Dialled {
  carrier: WebSocketCarrier;
  /** The headers of the relay's 101 answer. */
  headers: IncomingHttpHeaders;
  /** The address at which the relay was reached; undefined behind a proxy. */
  address: string | undefined;
}

/** The limit for reading an answer that is not the upgrade. */
const MAX_ANSWER_BYTES = 16 * 1024;

/** @throws TunlError RELAY_*, PROXY_FAILED, ABORTED, CERTIFICATE_INVALID (the CA), or the relay's own reason. */
export async function dialCarrier(options: DialOptions): Promise<Dialled> {
  const relay = parseRelayUrl(options.url);
  // The token is checked here because Node's error about an invalid header may contain it.
  if (options.token !== undefined && !/^[\x21-\x7e]+$/.test(options.token))
    throw new TunlError('TOKEN_WRONG', {reason: 'The token contains characters that are not allowed.'});
  const {timeoutMs, signal, clock} = options;
  const peer: Peer = {kind: 'relay', label: relay.label};
  using attempt = new Attempt({timeoutMs, signal, clock, label: relay.label});
  const proxy = proxyFor(relay, options.env ?? process.env);
  const socket = await openTls(attempt, peer, {
    host: relay.host,
    port: relay.port,
    ca: options.ca,
    ownCa: options.ownCa,
    alpn: options.alpn,
    accepts: options.accepts,
    ...(proxy !== undefined && {through: () => openTunnel(attempt, proxy, {relay, ca: options.ca})}),
  });
  try {
    const upgraded = await upgrade(attempt, relay, socket, options);
    return {...upgraded, address: proxy === undefined ? socket.remoteAddress : undefined};
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

export interface DialPortOptions extends Pick<DialOptions, 'url' | 'timeoutMs' | 'accepts'> {
  signal: AbortSignal;
  ca: string | undefined;
}

/** The TCP connection alone, by the same way. @throws TunlError RELAY_*, PROXY_FAILED, ABORTED */
export async function dialPort({url, ca, timeoutMs, signal, accepts}: DialPortOptions): Promise<Socket> {
  const relay = parseRelayUrl(url);
  using attempt = new Attempt({timeoutMs, signal, label: relay.label});
  const proxy = proxyFor(relay, process.env);
  if (proxy !== undefined) return await openTunnel(attempt, proxy, {relay, ca});
  return await openTcp(attempt, {kind: 'relay', label: relay.label}, {...relay, accepts});
}

function upgrade(
  attempt: Attempt,
  relay: RelayAddress,
  socket: Socket,
  options: DialOptions,
): Promise<Omit<Dialled, 'address'>> {
  const peer: Peer = {kind: 'relay', label: relay.label};
  const key = randomBytes(16).toString('base64');
  return attempt.run<Omit<Dialled, 'address'>>({name: 'upgrade'}, ({done, fail}) => {
    const req = https.request({
      createConnection: () => socket,
      method: 'GET',
      path: options.path,
      setHost: false,
      headers: {
        Host: relay.authority,
        ...options.headers,
        ...(options.token !== undefined && {Authorization: `Bearer ${options.token}`}),
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': key,
        'Sec-WebSocket-Protocol': SUBPROTOCOL,
      },
    });
    req.on('upgrade', (res, upgraded, head) => {
      const wrong = judgeAnswer(res, key);
      if (wrong !== undefined) return fail(failure(peer, 'RELAY_NOT_TUNL', `${relay.label} ${wrong}`));
      const carrier = new WebSocketCarrier({
        label: `wss ${relay.label}`,
        peerHost: relay.host.replace(/\.$/, ''),
        ...options,
        socket: upgraded as Socket,
        role: 'agent',
        head,
      });
      socket.off('error', ignore);
      done({carrier, headers: res.headers});
    });
    req.on('response', (res) => {
      attempt.entering({name: 'answer'});
      void readText(res).then((body) => fail(answerError(peer, res.statusCode ?? 0, res.headers, body)));
    });
    req.on('error', (error) => fail(upgradeError(peer, error)));
    req.end();
    if (socket.destroyed) fail(failure(peer, 'RELAY_LOST', `${relay.label} closed the connection`));
    return () => req.destroy();
  });
}

/** The error in a 101 answer; undefined when it is valid. */
function judgeAnswer(res: IncomingMessage, key: string): string | undefined {
  const {headers} = res;
  if (headers.upgrade?.toLowerCase() !== 'websocket') return 'switched to something that is not a WebSocket';
  if (headers['sec-websocket-accept'] !== acceptFor(key)) return 'answered the WebSocket key wrongly';
  if (headers['sec-websocket-protocol'] !== SUBPROTOCOL) return `did not agree to ${SUBPROTOCOL}`;
  if (headers['sec-websocket-extensions'] !== undefined)
    return 'chose a WebSocket extension that was not offered';
  return undefined;
}

/** The text of the answer so far: a relay's error is short, and of other answers only the status matters. */
async function readText(res: IncomingMessage): Promise<string> {
  let text = '';
  res.setEncoding('utf8');
  try {
    for await (const piece of res) {
      text += piece;
      if (text.length > MAX_ANSWER_BYTES) break;
    }
  } catch {
    // The answer was cut off: the received part is used.
  }
  return text;
}

function upgradeError(peer: Peer, error: Error): TunlError {
  // llhttp's codes: the answer is not HTTP.
  if (systemCode(error).startsWith('HPE_'))
    return failure(peer, 'RELAY_NOT_TUNL', `${peer.label} does not speak HTTP`, error);
  return socketError(peer, error);
}

// The steps below the upgrade: a TLS connection to a relay, directly or through an HTTP proxy's CONNECT.

// Its `request` is node:http's, without the 40 ms that importing node:http as a module takes.
import https from 'node:https';
import {isIP, type Socket} from 'node:net';
import type {SecureContext, TLSSocket} from 'node:tls';
import {TunlError} from '../core/errors.js';
import {tls} from '../core/node-tls.js';
import {dial} from '../net/dial.js';
import type {Attempt, Step} from './attempt.js';
import {certificateError, failure, ONE_CODE, type Peer, socketError} from './dial-errors.js';
import type {HttpProxy} from './proxy.js';
import type {RelayAddress} from './relay-url.js';
import {isUnknownIssuer, type MakeContext, trustSets} from './trust.js';

/**
 * Between two steps a socket has no other listener, and an error without a listener would end the process. The carrier
 * replaces it.
 */
export const ignore = (): void => {};

export interface TlsTarget {
  host: string;
  port: number;
  /** PEM; trusted besides the system's authorities. */
  ca: string | undefined;
  /** PEM; the CA of this user's own relays. */
  ownCa?: string | undefined;
  /** Protocols that ALPN offers after `http/1.1`. */
  alpn?: readonly string[] | undefined;
  /** Makes a connection to the target. Default: TCP to host and port. */
  through?: () => Promise<Socket>;
  /** Addresses of the host for which this is false are not tried. */
  accepts?: ((address: string) => boolean) | undefined;
}

/** A TLS connection whose certificate is verified for `host`, whatever NODE_TLS_REJECT_UNAUTHORIZED says. */
export async function openTls(attempt: Attempt, peer: Peer, target: TlsTarget): Promise<TLSSocket> {
  const [narrow, wide] = trustSets(target.ca, target.ownCa);
  const through = target.through ?? (() => openTcp(attempt, peer, target));
  const about = {host: target.host, hasOwnCa: target.ca !== undefined, alpn: target.alpn};
  const open = async (context: MakeContext) => {
    // Made before the connection, because a slow machine takes longer than a relay waits for a ClientHello.
    const secureContext = context();
    return await handshake(attempt, peer, {...about, secureContext, through: await through()});
  };
  try {
    return await open(narrow);
  } catch (error) {
    if (!isUnknownIssuer(error)) throw error;
    return await open(wide);
  }
}

/** The name of a step and the code of its error. */
function stepTo(peer: Peer, name: string): Step {
  const code = ONE_CODE[peer.kind];
  if (code === undefined) return {name};
  return {name: peer.kind === 'proxy' ? `${name} with the proxy ${peer.label}` : name, code};
}

interface HandshakeTarget {
  host: string;
  hasOwnCa: boolean;
  alpn: readonly string[] | undefined;
  secureContext: SecureContext;
  through: Socket;
}

function handshake(attempt: Attempt, peer: Peer, target: HandshakeTarget): Promise<TLSSocket> {
  const {host, hasOwnCa, alpn = [], secureContext, through} = target;
  return attempt.run<TLSSocket>(stepTo(peer, 'TLS handshake'), ({done, fail}) => {
    const socket = tls.connect({
      socket: through,
      host,
      servername: isIP(host) === 0 ? host.replace(/\.$/, '') : '',
      secureContext,
      rejectUnauthorized: true,
      ALPNProtocols: ['http/1.1', ...alpn],
    });
    socket.on('error', ignore);
    const onError = (error: Error) => {
      const refused = socket.authorizationError as unknown;
      if (typeof refused === 'string') fail(certificateError(peer, {host, code: refused, hasOwnCa}, error));
      else fail(socketError(peer, error));
    };
    socket.once('error', onError);
    socket.once('secureConnect', () => {
      socket.off('error', onError);
      done(socket);
    });
    if (through.destroyed) fail(failure(peer, 'RELAY_LOST', `${peer.label} closed the connection`));
    return () => {
      socket.destroy();
      through.destroy();
    };
  });
}

/** A connection through the proxy to the relay's port. */
export async function openTunnel(
  attempt: Attempt,
  proxy: HttpProxy,
  {relay, ca}: {relay: RelayAddress; ca: string | undefined},
): Promise<Socket> {
  const peer: Peer = {kind: 'proxy', label: proxy.label};
  const socket = proxy.secure
    ? await openTls(attempt, peer, {host: proxy.host, port: proxy.port, ca})
    : await openTcp(attempt, peer, proxy);
  const step: Step = {name: `CONNECT through the proxy ${proxy.label}`, code: 'PROXY_FAILED'};
  return await attempt.run<Socket>(step, ({done, fail}) => {
    const target = `${relay.host.includes(':') ? `[${relay.host}]` : relay.host}:${relay.port}`;
    const req = https.request({
      createConnection: () => socket,
      method: 'CONNECT',
      path: target,
      setHost: false,
      headers: {
        Host: target,
        ...(proxy.authorization !== undefined && {'Proxy-Authorization': proxy.authorization}),
      },
    });
    req.once('connect', (res, _socket, head) => {
      const status = res.statusCode ?? 0;
      if (status < 200 || status > 299)
        fail(refusedBy(peer, status, {target: relay.label, proxy, schemes: schemesOf(res.rawHeaders)}));
      else if (head.length > 0)
        fail(failure(peer, 'PROXY_FAILED', `${proxy.label} sent data before the relay could`));
      else done(socket);
    });
    req.on('error', (error) => fail(socketError(peer, error)));
    req.end();
    if (socket.destroyed) fail(failure(peer, 'PROXY_FAILED', `${proxy.label} closed the connection`));
    return () => socket.destroy();
  });
}

interface Refused {
  target: string;
  proxy: HttpProxy;
  /** The ways to log in that the proxy offers. */
  schemes: readonly string[];
}

function refusedBy(peer: Peer, status: number, {target, proxy, schemes}: Refused): TunlError {
  const hadCredentials = proxy.authorization !== undefined;
  if (status === 407 && schemes.length > 0 && !schemes.some((scheme) => /^basic$/i.test(scheme))) {
    return new TunlError('PROXY_FAILED', {
      reason: `${peer.label} offers only ${schemes.join(', ')} to log in; tunl knows only Basic.`,
      next: 'Run a proxy on this machine that logs in there (such as cntlm or px), and set HTTPS_PROXY to it.',
    });
  }
  const why =
    status !== 407
      ? `${peer.label} answered ${status} to CONNECT ${target}`
      : hadCredentials
        ? `${peer.label} does not accept the user name and password in HTTPS_PROXY`
        : `${peer.label} asks for a user name and password; HTTPS_PROXY has none`;
  return failure(peer, 'PROXY_FAILED', why);
}

const MAX_SCHEMES = 5;

/** The names in all Proxy-Authenticate headers: each begins a header, or follows a comma and is no parameter. */
function schemesOf(rawHeaders: readonly string[]): string[] {
  const values = rawHeaders.filter((_, at) => rawHeaders[at - 1]?.toLowerCase() === 'proxy-authenticate');
  const names = values
    .flatMap((value) => value.split(','))
    .map((part) => /^\s*([A-Za-z][A-Za-z0-9-]{0,30})(?=\s*$|\s+[^=\s])/.exec(part)?.[1] ?? '')
    .filter((name) => name !== '');
  return [...new Set(names)].slice(0, MAX_SCHEMES);
}

export function openTcp(
  attempt: Attempt,
  peer: Peer,
  {host, port, accepts}: Pick<TlsTarget, 'host' | 'port' | 'accepts'>,
): Promise<Socket> {
  return attempt.run<Socket>(stepTo(peer, 'TCP connect'), ({done, fail}) =>
    dial({
      host,
      port,
      accepts,
      onOpen: (socket) => {
        socket.on('error', ignore);
        done(socket);
      },
      onFailed: (error) => fail(socketError(peer, error)),
    }),
  );
}

// Visitors of a public address: sockets with and without TLS, and curl.
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {createConnection, type Socket} from 'node:net';
import {connect, createSecureContext, type SecureContext, type TLSSocket} from 'node:tls';
import {wayInForCurl} from './behind-gate.js';
import {type Exit, run} from './child.js';
import type {Scope} from './scope.js';

export interface Address {
  host: string;
  port: number;
}

/** A plain connection to a TCP tunnel. Half-close is up to the test. */
export async function tcpVisitor(scope: Scope, port: number, host = '127.0.0.1'): Promise<Socket> {
  const socket = boldVisitor(scope, port, host);
  await once(socket, 'connect');
  return socket;
}

/** A visitor who may be reset at any moment, even before it knows that it is connected; the caller must handle errors at once. */
export function boldVisitor(scope: Scope, port: number, host = '127.0.0.1', localAddress?: string): Socket {
  const from = localAddress === undefined ? {} : {localAddress};
  const socket = createConnection({port, host, ...from, allowHalfOpen: true, noDelay: true});
  scope.onEnd(() => void socket.destroy());
  return socket;
}

export interface TlsVisitorOptions {
  /** The relay's CA: certificates are always verified. */
  caFile: string;
  alpn?: string[];
  /** Where to connect; names below `.localhost` are this machine. */
  via?: string;
  /** Replaces the tunnel's name in SNI. */
  servername?: string;
  /** The local address that it connects from. */
  from?: string | undefined;
}

const contexts = new Map<string, SecureContext>();

/** Made once: if each of a thousand visitors read the CA again, the relay would wait too long for their first bytes. */
function trusting(caFile: string): SecureContext {
  const ca = readFileSync(caFile, 'utf8');
  const context = contexts.get(ca) ?? createSecureContext({ca});
  contexts.set(ca, context);
  return context;
}

/** A TLS connection to a tunnel's name, verified against the relay's CA. */
export async function tlsVisitor(
  scope: Scope,
  {host, port}: Address,
  options: TlsVisitorOptions,
): Promise<TLSSocket> {
  // `allowHalfOpen` is an option of the socket, which the types of tls.connect do not list.
  const halfOpen: object = {allowHalfOpen: true};
  const socket = connect({
    ...halfOpen,
    host: options.via ?? '127.0.0.1',
    port,
    servername: options.servername ?? host,
    secureContext: trusting(options.caFile),
    ...(options.from !== undefined && {localAddress: options.from}),
    ...(options.alpn && {ALPNProtocols: options.alpn}),
  });
  scope.onEnd(() => void socket.destroy());
  await once(socket, 'secureConnect');
  return socket;
}

/** curl with the relay's CA; every host in the URL is reached on loopback. */
export async function curl(
  scope: Scope,
  caFile: string,
  args: readonly string[],
): Promise<Exit & {stdout: string; stderr: string}> {
  return await run(scope, 'curl', [
    ...['--silent', '--show-error', '--max-time', '100', '--noproxy', '*'],
    ...(await wayInForCurl(scope, caFile, args)),
    ...['--cacert', caFile, '--connect-to', '::127.0.0.1:'],
    ...args,
  ]);
}

// Ends a visitor's or agent's TLS here: the accepted socket becomes a TLS socket on the same native handle.

import {Server, type Socket} from 'node:net';
import type {SecureContext, TLSSocket} from 'node:tls';
import {tls} from '../../core/node-tls.js';

export interface TerminateOptions {
  raw: Socket;
  /** The bytes of the ClientHello; TLS needs them again. */
  head: Buffer;
  context: SecureContext;
  /** The protocols to offer; undefined: the handshake has no ALPN. */
  alpn: readonly string[] | undefined;
  onSecure: (socket: TLSSocket) => void;
  /** The handshake failed; the socket is gone. */
  onFailed: (error: Error | undefined) => void;
}

/**
 * Never listens. A TLS socket reads for ever into the two buffers that its first bytes made it allocate; handed a
 * ClientHello, the first one is no larger than that, and every second read of a download brings 1.6 KB. For a socket
 * whose server wants to hear of sessions Node makes room for the longest ClientHello instead: 16 KiB, half the reads.
 */
const ROOMY = new Server().on('newSession', (_id: Buffer, _session: Buffer, done: () => void) => done());

/** Time limits are the caller's. @returns the socket, which is not secure yet. */
export function terminateTls(options: TerminateOptions): TLSSocket {
  const {raw, context, alpn, onSecure, onFailed} = options;
  raw.unshift(options.head);
  const socket = new tls.TLSSocket(raw, {
    isServer: true,
    server: ROOMY,
    secureContext: context,
    requestCert: false,
    rejectUnauthorized: false,
    ...(alpn === undefined ? {} : {ALPNProtocols: [...alpn]}),
  });
  const failed = (error?: Error | boolean) => {
    stop();
    socket.on('error', () => {});
    socket.destroy();
    raw.destroy();
    onFailed(error instanceof Error ? error : undefined);
  };
  const secure = () => {
    stop();
    // A visitor's wish for another handshake is answered with an end (RFC 9113 §9.2.1); Node alone allows three in ten minutes.
    socket.disableRenegotiation();
    onSecure(socket);
  };
  const stop = () => {
    socket.off('secure', secure);
    socket.off('error', failed);
    socket.off('close', failed);
  };
  // Once a connection is secure Node tells what breaks its TLS, a record that is none or handshakes without end, only to
  // a server of its own, and goes on. A turn later: this is a callback of that TLS.
  socket.on('_tlsError', (error: Error) => setImmediate(() => socket.destroy(error)));
  socket.on('secure', secure);
  socket.on('error', failed);
  socket.on('close', failed);
  return socket;
}

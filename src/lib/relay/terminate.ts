// Ends a visitor's or agent's TLS here: the accepted socket becomes a TLS socket on the same native handle.

import type {Socket} from 'node:net';
import type {SecureContext, TLSSocket} from 'node:tls';
import {tls} from '../core/node-tls.js';

export interface TerminateOptions {
  raw: Socket;
  /** What was read of the ClientHello: TLS wants it again. */
  head: Buffer;
  context: SecureContext;
  /** What to offer; undefined: ALPN is left out of the handshake. */
  alpn: string[] | undefined;
  /** For the whole handshake, ms. */
  timeoutMs: number;
  onSecure: (socket: TLSSocket) => void;
  /** The handshake failed or took too long; the socket is gone. */
  onFailed: (error: Error | undefined) => void;
}

export function terminateTls(options: TerminateOptions): void {
  const {raw, context, alpn, timeoutMs, onSecure, onFailed} = options;
  raw.unshift(options.head);
  const socket = new tls.TLSSocket(raw, {
    isServer: true,
    secureContext: context,
    requestCert: false,
    rejectUnauthorized: false,
    ...(alpn === undefined ? {} : {ALPNProtocols: alpn}),
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
    onSecure(socket);
  };
  const timer = setTimeout(failed, timeoutMs, new Error('the TLS handshake took too long'));
  const stop = () => {
    clearTimeout(timer);
    socket.off('secure', secure);
    socket.off('error', failed);
    socket.off('close', failed);
  };
  socket.on('secure', secure);
  socket.on('error', failed);
  socket.on('close', failed);
}

// Ends a visitor's or agent's TLS here: the accepted socket becomes a TLS socket on the same native handle.

import type {Socket} from 'node:net';
import type {SecureContext, TLSSocket} from 'node:tls';
import {alpnList} from '../../core/alpn-list.js';
import {tls} from '../../core/node-tls.js';

export interface TerminateOptions {
  raw: Socket;
  /** The bytes of the ClientHello; TLS needs them again. */
  head: Buffer;
  context: SecureContext;
  /** The protocols to offer; undefined: the handshake has no ALPN. */
  alpn: readonly string[] | undefined;
  onSecure: (socket: TLSSocket) => void;
  /** The handshake failed; the socket is gone. Without an error the peer has ended the connection. */
  onFailed: (error: Error | undefined) => void;
  /** TLS broke after the handshake; the socket is destroyed next. */
  onBroken?: ((error: Error) => void) | undefined;
}

/** The parts of Node's TLS handle that `readInLargePieces` depends on. */
interface TlsHandle {
  onclienthello: (this: TlsHandle) => void;
  onnewsession: (this: TlsHandle) => void;
  enableSessionCallbacks(): void;
  endParser(): void;
  newSessionDone(): void;
}

/** The caller sets time limits. @returns the socket, which is not secure yet. */
export function terminateTls(options: TerminateOptions): TLSSocket {
  const {raw, context, alpn, onSecure, onFailed, onBroken} = options;
  let isSecure = false;
  raw.unshift(options.head);
  const socket = new tls.TLSSocket(raw, {
    isServer: true,
    secureContext: context,
    requestCert: false,
    rejectUnauthorized: false,
    ...(alpn === undefined ? {} : {ALPNProtocols: alpnList(alpn)}),
  });
  readInLargePieces(socket);
  const failed = (error?: Error | boolean) => {
    stop();
    socket.on('error', () => {});
    socket.destroy();
    raw.destroy();
    onFailed(error instanceof Error ? error : undefined);
  };
  const secure = () => {
    isSecure = true;
    stop();
    // A request for another handshake ends the connection (RFC 9113 §9.2.1); Node itself allows three in ten minutes.
    socket.disableRenegotiation();
    onSecure(socket);
  };
  const stop = () => {
    socket.off('secure', secure);
    socket.off('end', failed);
    socket.off('error', failed);
    socket.off('close', failed);
  };
  // After the handshake Node reports errors of TLS, such as an invalid record or endless handshakes, only to its own kind of
  // TLS server, and continues. The socket is destroyed a turn later, because this is a callback of that TLS.
  socket.on('_tlsError', (error: Error) => {
    if (isSecure) onBroken?.(error);
    setImmediate(() => socket.destroy(error));
  });
  socket.on('secure', secure);
  // A peer that ends its side now cannot finish the handshake.
  socket.on('end', failed);
  socket.on('error', failed);
  socket.on('close', failed);
  return socket;
}

/**
 * A TLS socket keeps reading into the two buffers that it allocates for its first bytes. After a ClientHello is handed over, the
 * first buffer is no larger than that, and every second read of a download brings 1.6 KB. For a socket with callbacks for
 * sessions, Node allocates room for the longest ClientHello instead: 16 KiB, which halves the number of reads. The callbacks
 * have nothing to do here. Node's own ones, which emit events of a server, make a handshake dearer by 5 to 8 %.
 */
function readInLargePieces(socket: TLSSocket): void {
  const handle = (socket as unknown as {_handle: Partial<TlsHandle> | null})._handle;
  // A Node whose handle is another one reads in small pieces.
  if (typeof handle?.enableSessionCallbacks !== 'function') return;
  handle.onclienthello = goOn;
  handle.onnewsession = keepNothing;
  handle.enableSessionCallbacks();
}

function goOn(this: TlsHandle): void {
  this.endParser();
}

function keepNothing(this: TlsHandle): void {
  this.newSessionDone();
}

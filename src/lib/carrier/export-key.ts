// Key material of a connection's TLS (RFC 8446 §7.5): both ends can derive it, and nobody else.

import type {Socket} from 'node:net';
import type {TLSSocket} from 'node:tls';

/** Undefined: the socket has no TLS. @throws Error when the TLS is older than 1.3, or closed. */
export function exportKey(socket: Socket, label: string, bytes: number): Buffer | undefined {
  const secure = socket as Partial<TLSSocket>;
  if (secure.exportKeyingMaterial === undefined || secure.getProtocol === undefined) return undefined;
  // In TLS 1.2 an attacker can make two connections export the same bytes, unless both ends agreed on an extension, which
  // Node does not report (RFC 7627).
  if (secure.getProtocol() !== 'TLSv1.3') throw new Error('only TLS 1.3 has key material for one connection');
  return secure.exportKeyingMaterial(bytes, label, Buffer.alloc(0));
}

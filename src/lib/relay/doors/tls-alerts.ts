// Tells a TLS client why its handshake does not begin.

import type {Socket} from 'node:net';

/** Fatal alerts of RFC 8446 §6.2. Before the handshake alerts are plain, so no certificate is needed. */
const UNRECOGNIZED_NAME = Buffer.from([21, 3, 3, 0, 2, 2, 112]);
const ACCESS_DENIED = Buffer.from([21, 3, 3, 0, 2, 2, 49]);

/** The name that it asked for does not exist here. */
export function sayUnknownName(raw: Socket): void {
  endWith(raw, UNRECOGNIZED_NAME);
}

/** The tunnel does not take visitors from its address. */
export function sayAccessDenied(raw: Socket): void {
  endWith(raw, ACCESS_DENIED);
}

/**
 * Answers a complete ClientHello and ends the connection. A reset could overtake the alert, and the client would report a
 * fault of the network. The limits for connections without rights stay until the socket has closed.
 */
function endWith(raw: Socket, alert: Buffer): void {
  raw.end(alert, () => raw.destroy());
}

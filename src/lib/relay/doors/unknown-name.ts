// Tells a TLS client that the name it asked for does not exist here.

import type {Socket} from 'node:net';

/** A fatal alert `unrecognized_name` (RFC 6066 §3). Before the handshake alerts are plain, so no certificate is needed. */
const UNRECOGNIZED_NAME = Buffer.from([21, 3, 3, 0, 2, 2, 112]);

/**
 * Answers a complete ClientHello and ends the connection. A reset could overtake the alert, and the client would report a
 * fault of the network. The limits for connections without rights stay until the socket has closed.
 */
export function sayUnknownName(raw: Socket): void {
  raw.end(UNRECOGNIZED_NAME, () => raw.destroy());
}

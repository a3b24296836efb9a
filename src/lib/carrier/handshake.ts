// The WebSocket handshake without sockets: key and answer, and the version of tunl's sub-protocol that both sides speak.

import type {ErrorCode} from '../core/errors.js';
import {createHash} from '../core/node-crypto.js';

/** The version that this build speaks. It grows with each change that an older peer would misread. */
export const SUBPROTOCOL_VERSION = 1;
export const SUBPROTOCOL = `tunl.v${SUBPROTOCOL_VERSION}`;

/** RFC 6455 §1.3. */
const KEY_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** The `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key`. */
export function acceptFor(key: string): string {
  return createHash('sha1')
    .update(key + KEY_SUFFIX)
    .digest('base64');
}

/** 16 bytes in base64. */
export function isWebSocketKey(key: unknown): key is string {
  return typeof key === 'string' && /^[A-Za-z0-9+/]{21}[AQgw]==$/.test(key);
}

/** The members of a comma-separated header (`Connection`, `Sec-WebSocket-Protocol`), unchanged. */
export function listOf(header: string | undefined): string[] {
  return (header ?? '')
    .split(',')
    .map((member) => member.trim())
    .filter((member) => member !== '');
}

/** Undefined when one offered sub-protocol is ours; otherwise the error for the agent. */
export function judgeSubprotocols(offered: readonly string[]): ErrorCode | undefined {
  if (offered.includes(SUBPROTOCOL)) return undefined;
  const versions = offered.map((name) => Number(/^tunl\.v(\d{1,6})$/.exec(name)?.[1] ?? 0));
  return Math.max(0, ...versions) > SUBPROTOCOL_VERSION ? 'RELAY_TOO_OLD' : 'RELAY_TOO_NEW';
}

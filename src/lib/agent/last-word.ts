// Decides which errors end an agent or a tunnel that has served: only those that the relay itself sends about its token, its
// version or its name. After all others (another server at the relay's address, a proxy, a broken session) the agent tries
// again.

import type {ErrorCode, TunlError} from '../core/errors.js';

/** When the relay refuses the link, or ends the session. */
const ABOUT_AGENT: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'TOKEN_MISSING',
  'TOKEN_WRONG',
  'TOKEN_REVOKED',
  'TOKEN_EXPIRED',
  'KICKED',
  'BLOCKED',
  'RELAY_TOO_OLD',
  'RELAY_TOO_NEW',
  'TAKEN_OVER',
]);

/**
 * When the relay refuses or takes back a tunnel that this agent had: another agent has the name or port, or the relay does
 * not offer it any more. A relay that lacks something, or fails, gives the tunnel back later.
 */
const ABOUT_TUNNEL: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'TOKEN_MISSING',
  'TOKEN_WRONG',
  'TOKEN_REVOKED',
  'TOKEN_EXPIRED',
  'NOT_ALLOWED',
  'KICKED',
  'BLOCKED',
  'TAKEN_OVER',
  'NAME_TAKEN',
  'NAME_INVALID',
  'NAME_RESERVED',
  'PORT_TAKEN',
  'PORT_NOT_OFFERED',
  'TCP_NOT_OFFERED',
  'H2_NOT_OFFERED',
]);

/** Whether an agent that has served ends with this error. */
export function endsAgent(error: TunlError): boolean {
  return error.fromRelay && ABOUT_AGENT.has(error.code);
}

/** Whether a tunnel that was bound before is lost for good when the relay gives this reason. */
export function endsTunnel(error: TunlError): boolean {
  return error.fromRelay && ABOUT_TUNNEL.has(error.code);
}

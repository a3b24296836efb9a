// Which errors end an agent or a tunnel that has served: the relay's own word about its token, its version or its name.
// Everything else (a network that answers for the relay, a proxy, a session that broke) is tried again.

import type {ErrorCode, TunlError} from '../core/errors.js';

/** From a refusal of the link, or from the end of the session. */
const ABOUT_AGENT: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'TOKEN_MISSING',
  'TOKEN_WRONG',
  'RELAY_TOO_OLD',
  'RELAY_TOO_NEW',
  'TAKEN_OVER',
]);

/**
 * From the refusal of a tunnel that this agent had, or from the loss of one: another has the name or port, or the relay
 * does not offer it any more. A relay that is short of something, or fails, gives the tunnel back later.
 */
const ABOUT_TUNNEL: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'TOKEN_MISSING',
  'TOKEN_WRONG',
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

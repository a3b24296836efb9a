// Why a visitor's connection did not end in order, in words.

import type {StreamCode} from '../protocol/wire.js';

/** CANCELLED says nothing. */
export type VisitCode = Exclude<StreamCode, 'CANCELLED'>;

const REASONS: Readonly<Record<VisitCode, string>> = {
  UPSTREAM_REFUSED: 'the upstream does not accept connections',
  UPSTREAM_TIMEOUT: 'the upstream did not answer in time',
  UPSTREAM_RESET: 'the upstream broke the connection',
  VISITOR_RESET: 'the visitor broke the connection',
  TUNNEL_UNKNOWN: 'the tunnel is not known here',
  KIND_UNKNOWN: 'this version does not know such connections',
  SERVICE_UNKNOWN: 'this version does not know such a service',
  TOO_MANY_STREAMS: 'too many connections are open',
  TOO_MUCH_UNREAD: 'its bytes were not read, and others need the memory',
  VISITOR_IDLE: 'the visitor moved no byte for a long time',
  SESSION_ENDED: 'the link to the relay ended',
  DRAINING: 'the other side is shutting down',
  NOT_ALLOWED: 'the token does not allow it, or no longer',
  EGRESS_UNKNOWN: 'the relay has no such egress',
  EGRESS_FORBIDDEN: 'the relay does not connect to such a destination',
  EGRESS_UNHEALTHY: 'no address of the egress can be used',
  NAME_UNKNOWN: 'the name does not exist',
  UNREACHABLE: 'there is no way to the destination',
  MEMBER_UNKNOWN: 'the network has no such member',
  MEMBER_NAME_USED: 'another member of the network has this name',
  MEMBER_REPLACED: 'the member has joined again elsewhere',
  MEMBER_UNPROVEN: 'the member did not prove its key',
  NETWORK_FULL: 'the network has as many members as it may have',
};

/** The facts for an event; none after an orderly end. */
export function visitEnd(code: StreamCode | undefined): {code?: VisitCode; reason?: string} {
  return code === undefined || code === 'CANCELLED' ? {} : {code, reason: REASONS[code]};
}

// The events of `tunl net …` and `tunl expose --net` with `--json`. docs/json-events.md documents them.

import type {ErrorCode} from '../../core/errors.js';
import type {Member, MemberPath} from '../../network/member.js';

/** This process is a member of the network. */
export interface NetworkJoinedEvent {
  type: 'network';
  network: string;
  name: string;
  address: string;
  /** The addresses of the network. */
  prefix: string;
  /** The ports that other members can connect to; absent for a member that only connects. */
  ports?: readonly number[];
  /** The TCP port of this machine for direct connections. */
  directPort?: number;
  /** `tunl net run`: what the command reaches besides the members. */
  outside?: 'internet' | 'egress' | 'none';
  /** Whether its programs have UDP with other members, and by the egress; otherwise it is refused. */
  udp?: boolean;
  /** Why it is, and what to do. */
  udpRefused?: {why: string; mend: string};
  /** Its name, with `egress`. */
  egress?: string;
}

/** A member: a row of `tunl net list`, or one that has come or gone. */
export interface MemberEvent {
  type: 'member';
  state: 'listed' | 'came' | 'gone';
  network: string;
  name: string;
  address: string;
  accepts: boolean;
  /** The way from this machine; with `listed`. */
  path?: Exclude<MemberPath, 'self'>;
  rttMs?: number;
}

/** `tunl net forward`: the port of this machine. */
export interface MemberPortEvent {
  type: 'member-port';
  network: string;
  /** `name:port` of the member. */
  to: string;
  /** `host:port` of this machine. */
  address: string;
}

/** A connection to a member was not made. */
export interface MemberFailedEvent {
  type: 'member-failed';
  network: string;
  to: string;
  code: ErrorCode;
  reason: string;
  next: string;
}

export type NetworkCliEvent = NetworkJoinedEvent | MemberEvent | MemberPortEvent | MemberFailedEvent;

export function memberEvent(
  network: string,
  {name, address, accepts, path, rttMs}: Member,
  state: MemberEvent['state'],
): MemberEvent {
  return {
    type: 'member',
    state,
    network,
    name,
    address,
    accepts,
    ...(state === 'listed' && path !== 'self' && {path}),
    ...(state === 'listed' && rttMs !== undefined && {rttMs}),
  };
}

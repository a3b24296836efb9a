// One agent's session at this relay.

import {ERRORS, type ErrorCode} from '../../core/errors.js';
import type {RelayTicket} from '../../mux/resume-ticket.js';
import type {Blocks} from '../access/blocked.js';
import type {Principal} from '../access/principal.js';
import type {Binder} from './binds.js';

export const UNPROVEN =
  "The agent's key does not prove who it is over this link: the relay has another name, or something on the way ends TLS. A token works there.";

/** One agent's session with its tunnels. */
export interface Member extends Binder {
  readonly ticket: RelayTicket;
  /** As its hello says: text of a stranger. */
  readonly software: string;
  /** The address of its first link. */
  readonly from: string;
  /** When it connected, ms of the clock. */
  readonly since: number;
}

/**
 * A session goes on under the record of its own token. Another token of the same owner has other rights, and a session that it
 * resumed would keep the ones of the first.
 */
export function isOwn({opener}: Member, by: Principal | undefined): boolean {
  const {ended, owner, tokenId} = opener.principal;
  return ended === undefined && owner === by?.owner && tokenId === by.tokenId;
}

/** The address from which the session has begun, and that of its link now. */
export function addressesOf({from, session: {link}}: Member): string[] {
  return link === undefined ? [from] : [from, addressOf(link.carrier.label)];
}

/** Why an agent with this identity may not have a session. Its token may have ended since the upgrade. */
export function refusalOf(
  {owner, ended}: Principal,
  blocks: Pick<Blocks, 'hasOwner'> | undefined,
): [code: ErrorCode, message: string] | undefined {
  if (ended !== undefined) return [ended, ERRORS[ended].sentence];
  return blocks?.hasOwner(owner) ? ['BLOCKED', 'The operator has blocked this owner.'] : undefined;
}

/** `wss 203.0.113.7:50123`: the address. */
export function addressOf(label: string): string {
  return label
    .replace(/^wss /, '')
    .replace(/:\d+$/, '')
    .replace(/^::ffff:(?=\d+\.)/i, '');
}

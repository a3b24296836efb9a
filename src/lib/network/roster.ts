// The members of a network, as the relay tells them: their state in two parts, one for programs and one for the paths to them.

import {isIP} from 'node:net';
import type {Fields} from '../protocol/fields.js';
import type {RosterMember} from '../protocol/network-messages.js';

/** Where other members may find one, beside the relay. All of it is a hint: the key decides. */
export interface PathHints {
  /** The name of a Unix socket in the folder that all processes of this user share, in hex digits. */
  readonly unix?: string;
  /** `HOST:PORT` with IP addresses. */
  readonly at?: readonly string[];
  /** True: it trusts the relay, and takes connections without TLS of its own. */
  readonly plain?: true;
  /** True: it comes to a rendezvous at the relay. */
  readonly meets?: true;
}

/** A member as this process sees it. */
export interface Peer {
  readonly name: string;
  readonly address: string;
  /** The raw public key. */
  readonly key: Buffer;
  readonly serial: number;
  readonly accepts: boolean;
  readonly state: Fields;
  readonly hints: PathHints;
}

/** A member's addresses that are tried. */
const MOST_HINTS = 8;
export const UNIX_DIGITS = 24;

/** The part of `members` that has the address of its key. The relay cannot give an address to another key. */
export function peersOf(
  members: readonly RosterMember[],
  addressOf: (key: Buffer) => string,
): {peers: Peer[]; forged: string[]} {
  const peers: Peer[] = [];
  const forged: string[] = [];
  for (const {key: text, state, ...member} of members) {
    const key = Buffer.from(text, 'base64url');
    if (addressOf(key) !== member.address) forged.push(member.name);
    else peers.push({...member, key, state: objectOf(state.app), hints: hintsOf(state.paths)});
  }
  return {peers, forged};
}

/** The state of this member, as the others get it. */
export function stateWith(app: Fields, hints: PathHints): Fields {
  return {
    ...(Object.keys(app).length > 0 && {app}),
    ...(Object.keys(hints).length > 0 && {paths: hints}),
  };
}

function hintsOf(value: unknown): PathHints {
  const {unix, at, plain, meets} = objectOf(value);
  const places = Array.isArray(at) ? at.filter((each) => placeOf(each) !== undefined) : [];
  return {
    ...(typeof unix === 'string' && new RegExp(`^[0-9a-f]{${UNIX_DIGITS}}$`).test(unix) && {unix}),
    ...(places.length > 0 && {at: places.slice(0, MOST_HINTS) as string[]}),
    ...(plain === true && {plain}),
    ...(meets === true && {meets}),
  };
}

/** `HOST:PORT` with an IP address. */
export function placeOf(text: unknown): {host: string; port: number} | undefined {
  const [, v6, v4, digits] =
    (typeof text === 'string' && /^(?:\[([^\]]{2,45})\]|([^:]{7,15})):(\d{1,5})$/.exec(text)) || [];
  const host = v6 ?? v4 ?? '';
  const port = Number(digits);
  const isPlace = isIP(host) === (v6 === undefined ? 4 : 6) && port >= 1 && port <= 65_535;
  return isPlace ? {host, port} : undefined;
}

function objectOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

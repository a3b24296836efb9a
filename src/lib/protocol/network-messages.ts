// Messages about private networks and clusters: the service `network`, streams between members, and the addresses of members.

import {createHash} from '../core/node-crypto.js';
import {
  asObject,
  type Fields,
  flag,
  hex,
  MalformedMessage,
  maybe,
  oneOf,
  parseJsonObject,
  prose,
  text,
  whole,
} from './fields.js';
import {RENDEZVOUS_DIGITS} from './rendezvous.js';
import {isStreamCode, LIMITS, type StreamCode} from './wire.js';

/** The relay keeps the rosters of networks: a stream of kind `service` is a membership, as long as it lives. */
export const NETWORK_SERVICE = 'network';

export const NETWORK_LIMITS = {
  /** Members of one network. */
  members: 256,
  /** The JSON of a member's state, in bytes. */
  stateBytes: 1_024,
  /** One line of a member, with its line feed, in bytes. */
  memberLineBytes: 2_048,
  /** One line of the relay: a roster with all members and their states, in bytes. */
  relayLineBytes: 512 * 1024,
  /** A network's or member's name is a DNS label. */
  nameCharacters: 63,
} as const;

export const NETWORK_SCOPES = ['net', 'cluster'] as const;
/** The kind of scope that makes one a member: networks and clusters of the same name are different networks. */
export type NetworkScope = (typeof NETWORK_SCOPES)[number];

/** A network of one relay. */
export interface NetworkName {
  scope: NetworkScope;
  network: string;
}

/** The OPEN of a membership. Without `member` it only watches the roster. */
export interface NetworkOpen extends NetworkName {
  member?: {
    name: string;
    /** The raw Ed25519 public key, 32 bytes. */
    key: Buffer;
    /** Whether other members may connect to it. */
    accepts: boolean;
  };
}

export interface RosterMember {
  name: string;
  address: string;
  /** The raw Ed25519 public key, in base64url. */
  key: string;
  /** Grows with each member that joins. */
  serial: number;
  accepts: boolean;
  /** The words of the member for the others. */
  state: Fields;
}

/** The membership of this stream. */
export interface Joined {
  /** `fdaa:5137:3ebf::/48` */
  prefix: string;
  /** Both are missing for a stream that only watches. */
  address?: string;
  serial?: number;
}

/** A line of the relay. */
export type NetworkLine =
  /** 64 hex digits, to be signed. The first line, unless the stream only watches. */
  | {challenge: string}
  | {joined: Joined}
  /** All members, after each change. */
  | {members: RosterMember[]}
  /** Why the membership ends. The reset that follows has the same code. */
  | {ended: {code: StreamCode; message: string}};

/** The OPEN of kind `member`, from an agent to the relay. */
export interface MemberOpen extends NetworkName {
  /** The name of the agent's own membership. */
  from: string;
  to: string;
  /** 0: a link of the two members, which has their connections in it. */
  port: number;
  /** With port 0: the stream stands for a rendezvous of two TCP connections, which have the link. */
  rendezvous?: true;
}

/** The OPEN of kind `member`, from the relay to an agent. */
export interface MemberOffer extends NetworkName {
  /** The name of the agent's own membership. */
  to: string;
  from: {name: string; address: string};
  port: number;
  /** The id of the rendezvous, where the agent is to come. */
  rendezvous?: string;
}

const CHALLENGE_DIGITS = 64;
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
/** Names that mean the machine or the member itself to its programs. */
const OWN_NAMES: ReadonlySet<string> = new Set(['localhost', 'i6pn']);

export const isNetworkName = (name: string): boolean => LABEL.test(name);
export const isMemberName = (name: string): boolean => LABEL.test(name) && !OWN_NAMES.has(name);

// ── From members ──

/** @throws MalformedMessage */
export function parseNetworkOpen(payload: Buffer): NetworkOpen {
  const fields = parseJsonObject(payload);
  const named = networkName(fields);
  if (!Object.hasOwn(fields, 'name') && !Object.hasOwn(fields, 'key')) return named;
  const member = {
    name: memberName(fields, 'name'),
    key: base64url(fields, 'key', KEY_BYTES),
    accepts: flag(fields, 'accepts'),
  };
  return {...named, member};
}

export function networkOpen({scope, network, member}: NetworkOpen): object {
  const about = {service: NETWORK_SERVICE, scope, network};
  return member === undefined ? about : {...about, ...member, key: member.key.toString('base64url')};
}

/** The answer to the challenge. @throws MalformedMessage */
export function parseSignature(line: Buffer): Buffer {
  return base64url(parseJsonObject(line), 'signature', SIGNATURE_BYTES);
}

/** The state in a later line; undefined: the line says something that this version does not know. @throws MalformedMessage */
export function parseStateLine(line: Buffer): Fields | undefined {
  const fields = parseJsonObject(line);
  if (!Object.hasOwn(fields, 'state')) return undefined;
  const state = asObject(fields.state, 'state');
  if (!isStateSmall(state)) throw new MalformedMessage('state is too long');
  return state;
}

/** Whether a member may tell the others this. */
export function isStateSmall(state: object): boolean {
  return Buffer.byteLength(JSON.stringify(state)) <= NETWORK_LIMITS.stateBytes;
}

/** @throws MalformedMessage */
export function parseMemberOpen(payload: Buffer): MemberOpen {
  const fields = parseJsonObject(payload);
  return {
    ...networkName(fields),
    from: memberName(fields, 'from'),
    to: memberName(fields, 'to'),
    port: whole(fields, 'port', 0, 65_535),
    ...(Object.hasOwn(fields, 'rendezvous') && flag(fields, 'rendezvous') && {rendezvous: true}),
  };
}

// ── From the relay ──

/** Undefined: the line says something that this version does not know. @throws MalformedMessage */
export function parseNetworkLine(line: Buffer): NetworkLine | undefined {
  const fields = parseJsonObject(line);
  if (Object.hasOwn(fields, 'challenge')) return {challenge: hex(fields, 'challenge', CHALLENGE_DIGITS)};
  if (Object.hasOwn(fields, 'joined')) {
    const joined = asObject(fields.joined, 'joined');
    return {
      joined: {
        prefix: text(joined, 'prefix', 64),
        ...maybe(joined, 'address', text, 64),
        ...maybe(joined, 'serial', whole, 1, Number.MAX_SAFE_INTEGER),
      },
    };
  }
  if (Object.hasOwn(fields, 'members')) return {members: roster(fields.members)};
  if (!Object.hasOwn(fields, 'ended')) return undefined;
  const ended = asObject(fields.ended, 'ended');
  return {
    ended: {
      code: isStreamCode(ended.code) ? ended.code : 'CANCELLED',
      message: prose(ended, 'message', LIMITS.textCharacters),
    },
  };
}

function roster(value: unknown): RosterMember[] {
  if (!Array.isArray(value) || value.length > NETWORK_LIMITS.members)
    throw new MalformedMessage('members is not a short list');
  return value.map((item: unknown) => {
    const fields = asObject(item, 'a member');
    return {
      name: memberName(fields, 'name'),
      address: text(fields, 'address', 64),
      key: base64url(fields, 'key', KEY_BYTES).toString('base64url'),
      serial: whole(fields, 'serial', 1, Number.MAX_SAFE_INTEGER),
      accepts: flag(fields, 'accepts'),
      state: asObject(fields.state, 'state'),
    };
  });
}

/** @throws MalformedMessage */
export function parseMemberOffer(payload: Buffer): MemberOffer {
  const fields = parseJsonObject(payload);
  const from = asObject(fields.from, 'from');
  return {
    ...networkName(fields),
    to: memberName(fields, 'to'),
    from: {name: memberName(from, 'name'), address: text(from, 'address', 64)},
    port: whole(fields, 'port', 0, 65_535),
    ...maybe(fields, 'rendezvous', hex, RENDEZVOUS_DIGITS),
  };
}

// ── Identity and addresses ──

export interface MemberProof extends NetworkName {
  /** The relay's own name: the host that the agent dialled, the domain that the relay serves. */
  relay: string;
  name: string;
  challenge: string;
}

/**
 * The text that a member signs with its key. The name of the relay is in it, so a relay that passes on the challenge of another
 * one gets a signature that the other one refuses.
 */
export function memberText({relay, scope, network, name, challenge}: MemberProof): Buffer {
  return Buffer.from(['tunl member v1', relay.toLowerCase(), scope, network, name, challenge].join('\0'));
}

/** The prefix of a network at one relay: `fdaa:` and 32 bits of a hash, 48 bits in all. */
export function networkPrefix(relay: string, {scope, network}: NetworkName): string {
  return `${addressText(prefixBytes(relay, {scope, network}))}/48`;
}

/** A member's address: the prefix of the network, and 80 bits that belong to its key alone. */
export function memberAddress(relay: string, network: NetworkName, key: Buffer): string {
  const address = prefixBytes(relay, network);
  createHash('sha256').update('tunl i6pn v1\0').update(key).digest().copy(address, 6, 0, 10);
  return addressText(address);
}

function prefixBytes(relay: string, {scope, network}: NetworkName): Buffer {
  const id = createHash('sha256')
    .update(['tunl network v1', relay.toLowerCase(), scope, network].join('\0'))
    .digest();
  const address = Buffer.alloc(16);
  address.writeUInt16BE(0xfdaa, 0);
  id.copy(address, 2, 0, 4);
  return address;
}

/** The address as systems write it (RFC 5952): the first of the longest runs of zeros is left out. */
function addressText(address: Buffer): string {
  const groups = Array.from({length: 8}, (_, at) => address.readUInt16BE(at * 2).toString(16));
  const runs = groups.map((_, from) => {
    const end = groups.findIndex((group, at) => at >= from && group !== '0');
    return {from, length: (end === -1 ? groups.length : end) - from};
  });
  const longest = Math.max(...runs.map(({length}) => length));
  const run = longest < 2 ? undefined : runs.find(({length}) => length === longest);
  if (run === undefined) return groups.join(':');
  return `${groups.slice(0, run.from).join(':')}::${groups.slice(run.from + run.length).join(':')}`;
}

// ── Fields ──

function networkName(fields: Fields): NetworkName {
  const scope = oneOf(fields, 'scope', NETWORK_SCOPES);
  const network = text(fields, 'network', NETWORK_LIMITS.nameCharacters);
  if (!isNetworkName(network)) throw new MalformedMessage('network is no name of a network');
  return {scope, network};
}

function memberName(fields: Fields, name: string): string {
  const value = text(fields, name, NETWORK_LIMITS.nameCharacters);
  if (!isMemberName(value)) throw new MalformedMessage(`${name} is no name of a member`);
  return value;
}

/** Exactly this many bytes, written in the only way that base64url has for them. */
function base64url(fields: Fields, name: string, bytes: number): Buffer {
  const written = text(fields, name, Math.ceil((bytes * 4) / 3));
  const value = Buffer.from(written, 'base64url');
  if (value.length !== bytes || value.toString('base64url') !== written)
    throw new MalformedMessage(`${name} is not ${bytes} bytes in base64url`);
  return value;
}

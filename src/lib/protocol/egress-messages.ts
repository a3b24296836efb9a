// Messages about egress: connections from an address of the relay to the outside. The OPEN of kind `egress`, and the services
// `egress` and `resolve`.

import {
  asObject,
  type Fields,
  flag,
  MalformedMessage,
  maybe,
  oneOf,
  parseJsonObject,
  text,
  texts,
  whole,
} from './fields.js';

/** Names the egresses of a relay that the agent may use, with their addresses. */
export const EGRESS_SERVICE = 'egress';
/** Looks up a name with the DNS of the relay. */
export const RESOLVE_SERVICE = 'resolve';

/** The most addresses of one egress. */
export const MAX_EGRESS_ADDRESSES = 5;
/** The most egresses of one relay. */
export const MAX_EGRESSES = 32;
/** The most addresses in the answer to one look-up. */
export const MAX_RESOLVED = 64;

const NAME_CHARACTERS = 63;
const HOST_CHARACTERS = 253;
const ADDRESS_CHARACTERS = 64;

/** The content of an OPEN of kind `egress`. */
export interface EgressOpen {
  egress: string;
  /** A host name or an IP address, as the program asked for it. */
  host: string;
  port: number;
  /** True: the address with the fewest connections. Default: always the same one for this token and host. */
  spread: boolean;
}

/** The content of an OPEN of kind `datagram`. */
export interface DatagramOpen extends EgressOpen {
  /** The family of the address that the program used. Undefined: any address of the host will do. */
  family: 4 | 6 | undefined;
}

/** The content of an OPEN of the service `resolve`. */
export interface ResolveOpen {
  egress: string;
  name: string;
}

export interface EgressReport {
  name: string;
  addresses: {address: string; healthy: boolean}[];
}

/**
 * `ENOTFOUND`: the name has no address of a family that the egress has. `EAGAIN`: no name server answers. `EBUSY`: too many
 * look-ups. `EACCES`: the relay does not connect to such a name.
 */
export const RESOLVE_ERRORS = ['ENOTFOUND', 'EAGAIN', 'EBUSY', 'EACCES'] as const;

export type ResolveError = (typeof RESOLVE_ERRORS)[number];

export type ResolveAnswer = {addresses: string[]} | {error: ResolveError};

/** A name of an egress is also the text of a scope: lower case, and no `*`. */
export function isEgressName(name: string): boolean {
  return name.length <= NAME_CHARACTERS && /^[a-z0-9][a-z0-9._-]*$/.test(name);
}

/** @throws MalformedMessage */
export function parseEgressOpen(about: Buffer): EgressOpen {
  const fields = parseJsonObject(about);
  return {
    egress: egressName(fields, 'egress'),
    host: host(fields, 'host'),
    port: whole(fields, 'port', 1, 65_535),
    spread: flag(fields, 'spread'),
  };
}

/** @throws MalformedMessage */
export function parseDatagramOpen(about: Buffer): DatagramOpen {
  const {family} = maybe(parseJsonObject(about), 'family', whole, 4, 6);
  if (family === 5) throw new MalformedMessage('family is neither 4 nor 6');
  return {...parseEgressOpen(about), family: family as DatagramOpen['family']};
}

/** @throws MalformedMessage */
export function parseResolveOpen(about: Buffer): ResolveOpen {
  const fields = parseJsonObject(about);
  return {egress: egressName(fields, 'egress'), name: host(fields, 'name')};
}

/** For agents: the answer of the service `egress`. @throws MalformedMessage */
export function readEgressList(answer: unknown): EgressReport[] {
  return list(asObject(answer, 'answer'), 'egresses', MAX_EGRESSES).map((each) => {
    const fields = asObject(each, 'egress');
    return {
      name: egressName(fields, 'name'),
      addresses: list(fields, 'addresses', MAX_EGRESS_ADDRESSES).map((one) => {
        const about = asObject(one, 'address');
        return {
          address: address(text(about, 'address', ADDRESS_CHARACTERS)),
          healthy: flag(about, 'healthy'),
        };
      }),
    };
  });
}

/** For agents: the answer of the service `resolve`. @throws MalformedMessage */
export function readResolveAnswer(answer: unknown): ResolveAnswer {
  const fields = asObject(answer, 'answer');
  if (Object.hasOwn(fields, 'error')) return {error: oneOf(fields, 'error', RESOLVE_ERRORS)};
  return {addresses: texts(fields, 'addresses', MAX_RESOLVED, ADDRESS_CHARACTERS).map(address)};
}

function egressName(fields: Fields, name: string): string {
  const value = text(fields, name, NAME_CHARACTERS);
  if (!isEgressName(value)) throw new MalformedMessage(`${name} is no name of an egress`);
  return value;
}

/** Visible ASCII. What it names is decided where it is dialled. */
function host(fields: Fields, name: string): string {
  const value = text(fields, name, HOST_CHARACTERS);
  if (!/^[!-~]+$/.test(value)) throw new MalformedMessage(`${name} is no host`);
  return value.toLowerCase();
}

/** Looks like an address: agents print it. */
function address(value: string): string {
  if (!/^[0-9a-f.:]+$/i.test(value)) throw new MalformedMessage('an address is none');
  return value;
}

function list(fields: Fields, name: string, maxCount: number): unknown[] {
  const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
  if (!Array.isArray(value) || value.length > maxCount)
    throw new MalformedMessage(`${name} is not a short list`);
  return value;
}

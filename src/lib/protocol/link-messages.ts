// Messages about the link: the handshake, the resume of a session, goodbyes. One closed union: messages are parsed and
// refused, never cast.

import {
  asObject,
  type Fields,
  hex,
  maybe,
  oneOf,
  parseJsonObject,
  prose,
  text,
  texts,
  whole,
} from './fields.js';
import {LIMITS} from './wire.js';

/** The number of a worker is a part of a session's id. */
export const MAX_WORKER = 0xffff;
const MAX_COUNT = Number.MAX_SAFE_INTEGER;

/** Relay → agent, the first message on a carrier. `nonce`: 32 hex digits. */
export interface Challenge {
  type: 'challenge';
  protocol: number;
  software: string;
  nonce: string;
  /** The relay's own name, when the agent must prove its identity with its key, because it has shown no token. */
  identify?: string;
  /** Additions to the first form of this version that the relay supports: kinds of stream, by name, and the constants below. */
  features?: readonly string[];
}

/** Agent → relay: a new session, or the resume of one. */
export interface Hello {
  type: 'hello';
  software: string;
  nonce: string;
  /** The agent's own key, for leases without a token: SPKI in base64url, and its signature over `identityText`. */
  identity?: {key: string; signature: string};
  /** Additions to the first form of this version that the agent supports. */
  features?: readonly string[];
  resume?: {id: string; epoch: number; received: number; proof: string};
}

/** Relay → agent: the session is attached to this carrier. `secret` comes with a new session, `proof` with a resumed one. */
export interface Welcome {
  type: 'welcome';
  id: string;
  epoch: number;
  received: number;
  resumeWindowMs: number;
  secret?: string;
  proof?: string;
  /** The process of the relay that has the session, if it has several: the agent names it when it resumes. */
  worker?: number;
}

/** Relay → agent: no session; the carrier closes. */
export interface Refused {
  type: 'refused';
  code: string;
  message: string;
  retryAfterMs?: number;
}

/** Either way: this end is shutting down on purpose. Come back after `afterMs`, to one of `relays` if there are any. */
export interface Goaway {
  type: 'goaway';
  message: string;
  afterMs: number;
  relays: readonly string[];
}

/** Either way: the session is over, for this reason. Nothing of it can be resumed. */
export interface Close {
  type: 'close';
  code: string;
  message: string;
}

export type LinkMessage = Challenge | Hello | Welcome | Refused | Goaway | Close;

/** The most relays in one goaway. */
export const MAX_RELAYS = 20;

/** The most features in one challenge or hello, and the length of each. A receiver ignores names that it does not know. */
export const MAX_FEATURES = 32;
export const FEATURE_CHARACTERS = 40;

/** The relay notes the key of an agent that has shown a token, when the agent proves it. */
export const FEATURE_IDENTITY = 'identity';

/** The relay refuses visitors by their addresses: `cidr` in a bind, and `restrict` messages. */
export const FEATURE_CIDR = 'cidr';

/** The relay resumes sessions without a token: the upgrade names the session (SESSION_HEADER). */
export const FEATURE_TICKETS = 'tickets';

/** The agent takes `warning` messages, which other agents would refuse. */
export const FEATURE_WARNINGS = 'warnings';

/** The relay passes probes on to the agent (probe.ts), and makes them when the agent asks for it. */
export const FEATURE_PROBE = 'probe';

const TYPES = ['challenge', 'hello', 'welcome', 'refused', 'goaway', 'close'] as const;

/** @throws MalformedMessage */
export function parseLinkMessage(payload: Buffer): LinkMessage {
  const fields = parseJsonObject(payload);
  const type = oneOf(fields, 'type', TYPES);
  switch (type) {
    case 'challenge':
      return {
        type,
        protocol: whole(fields, 'protocol', 1, 1_000_000),
        software: prose(fields, 'software', 100),
        nonce: hex(fields, 'nonce', 32),
        ...maybe(fields, 'identify', text, 255),
        ...features(fields),
      };
    case 'hello':
      return {
        type,
        software: prose(fields, 'software', 100),
        nonce: hex(fields, 'nonce', 32),
        ...maybe(fields, 'identity', identity),
        ...features(fields),
        ...maybe(fields, 'resume', resume),
      };
    case 'welcome':
      return {
        type,
        id: hex(fields, 'id', 32),
        epoch: whole(fields, 'epoch', 1, MAX_COUNT),
        received: whole(fields, 'received', 0, MAX_COUNT),
        resumeWindowMs: whole(fields, 'resumeWindowMs', 0, 3_600_000),
        ...maybe(fields, 'secret', hex, 64),
        ...maybe(fields, 'proof', hex, 64),
        ...maybe(fields, 'worker', whole, 1, MAX_WORKER),
      };
    case 'refused':
      return {
        type,
        code: text(fields, 'code', 40),
        message: prose(fields, 'message', LIMITS.textCharacters),
        ...maybe(fields, 'retryAfterMs', whole, 0, 86_400_000),
      };
    case 'goaway':
      return {
        type,
        message: prose(fields, 'message', LIMITS.textCharacters),
        afterMs: whole(fields, 'afterMs', 0, 86_400_000),
        relays: texts(fields, 'relays', MAX_RELAYS, 300),
      };
    case 'close':
      return {type, code: text(fields, 'code', 40), message: prose(fields, 'message', LIMITS.textCharacters)};
  }
}

function identity(fields: Fields, name: string): NonNullable<Hello['identity']> {
  const object = asObject(fields[name], name);
  return {key: text(object, 'key', 200), signature: text(object, 'signature', 200)};
}

function resume(fields: Fields, name: string): NonNullable<Hello['resume']> {
  const object = asObject(fields[name], name);
  return {
    id: hex(object, 'id', 32),
    epoch: whole(object, 'epoch', 1, MAX_COUNT),
    received: whole(object, 'received', 0, MAX_COUNT),
    proof: hex(object, 'proof', 64),
  };
}

function features(fields: Fields): {features?: string[]} {
  return maybe(fields, 'features', texts, MAX_FEATURES, FEATURE_CHARACTERS);
}

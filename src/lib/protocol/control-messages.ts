// Messages about tunnels, on stream 0 of a session: two closed unions, agent → relay and relay → agent, and the
// content of OPEN, REFUSED and RESET.

import {oneLine} from '../core/one-line.js';
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
  texts,
  whole,
} from './fields.js';
import {PROBE_SECRET_DIGITS} from './probe.js';
import {isHost} from './targets.js';
import {isStreamCode, LIMITS, type StreamCode} from './wire.js';

const MAX_COUNT = Number.MAX_SAFE_INTEGER;
const MAX_ID = 2 ** 31;

/** Ranges of addresses in each list of a tunnel, and the length of one: a visitor is compared with all of them. */
export const MAX_RANGES = 64;
const RANGE_CHARACTERS = 64;

/**
 * The addresses that visitors may come from: IP addresses and ranges (`192.0.2.0/24`). `deny` goes before `allow`; without
 * `allow` all others may come. Only for relays with the feature `cidr`: others ignore it.
 */
export interface AddressRules {
  allow?: readonly string[];
  deny?: readonly string[];
}

/** A TLS name. `name`: exactly this one; `prefer`: this one if it is free, otherwise a random one. */
export interface TlsBind {
  kind: 'tls';
  h2: boolean;
  /** With h2: whether ALPN offers http/1.1 as well. Missing: yes. */
  http1?: boolean;
  name?: string;
  prefer?: string;
  cidr?: AddressRules;
}

/** A TCP port of the relay. `port`: exactly this one; `prefer`: this one if it is free. */
export interface TcpBind {
  kind: 'tcp';
  port?: number;
  prefer?: number;
  cidr?: AddressRules;
}

export type TunnelRequest = TlsBind | TcpBind;

export type AgentMessage =
  /**
   * The answer repeats `request`. `holder` identifies the agent: 32 hex digits, the same in all its sessions.
   * `epoch`: the agent had this tunnel under that epoch and wants it back; refused when another agent has taken it over
   * since.
   */
  | {type: 'bind'; request: number; wish: TunnelRequest; holder?: string; epoch?: number}
  | {type: 'unbind'; tunnel: number}
  /** New rules for a tunnel, in place of those of its bind. Visitors that they do not admit are reset. Only with `cidr`. */
  | {type: 'restrict'; tunnel: number; cidr: AddressRules};

export type RelayMessage =
  /**
   * `tunnel` names the tunnel in OPENs of this session; `epoch` grows with each takeover of the name or port. `warning`:
   * why visitors may fail, for people.
   */
  | {
      type: 'bound';
      request: number;
      tunnel: number;
      epoch: number;
      host: string;
      port: number;
      warning?: string;
    }
  | {type: 'bind-refused'; request: number; code: string; message: string}
  /** The session has lost the tunnel. */
  | {type: 'unbound'; tunnel: number; code: string; message: string}
  /** Why visitors fail, for people. Only for agents with the feature `warnings`. */
  | {type: 'warning'; tunnel: number; code: string; message: string};

/** The content of an OPEN of kind `visitor`. */
export interface VisitorOpen {
  tunnel: number;
  via: 'tls' | 'tcp';
  /** The visitor's IP address as the relay sees it, without brackets. */
  address: string;
  port: number;
  /** The protocol that ALPN has chosen, if any. */
  alpn?: string | undefined;
}

/** The content of an OPEN of kind `service`. */
export interface ServiceOpen {
  service: string;
}

/** The content of an OPEN of the service `probe`: which tunnel of this agent to probe, with which secret. */
export type ProbeOpen = {service: string; secret: string} & (
  | {kind: 'tls'; host: string}
  | {kind: 'tcp'; port: number}
);

/** The answer: one line of JSON, when the probe has ended. */
export interface ProbeAnswer {
  ok: boolean;
  /** The leg that fails, and why, for people. */
  leg?: 'dns' | 'tcp' | 'tls' | 'session';
  reason?: string;
}

/** Why a stream was refused. `message` is for people. */
export interface Refusal {
  code: StreamCode;
  message?: string;
}

/** @throws MalformedMessage */
export function parseAgentMessage(payload: Buffer): AgentMessage {
  const fields = parseJsonObject(payload);
  const type = oneOf(fields, 'type', ['bind', 'unbind', 'restrict']);
  if (type === 'unbind') return {type, tunnel: whole(fields, 'tunnel', 1, MAX_ID)};
  if (type === 'restrict')
    return {type, tunnel: whole(fields, 'tunnel', 1, MAX_ID), cidr: addressRules(fields, 'cidr')};
  return {
    type,
    request: whole(fields, 'request', 1, MAX_ID),
    wish: parseWish(asObject(fields.wish, 'wish')),
    ...maybe(fields, 'holder', hex, 32),
    ...maybe(fields, 'epoch', whole, 1, MAX_COUNT),
  };
}

function parseWish(wish: Fields): TunnelRequest {
  const kind = oneOf(wish, 'kind', ['tls', 'tcp']);
  if (kind === 'tcp') {
    return {
      kind,
      ...maybe(wish, 'port', whole, 0, MAX_ID),
      ...maybe(wish, 'prefer', whole, 1, 65_535),
      ...maybe(wish, 'cidr', addressRules),
    };
  }
  return {
    kind,
    h2: flag(wish, 'h2'),
    ...maybe(wish, 'http1', flag),
    ...maybe(wish, 'name', text, 1000),
    ...maybe(wish, 'prefer', text, 63),
    ...maybe(wish, 'cidr', addressRules),
  };
}

/** The texts may be no ranges: the relay refuses such a bind with a reason. */
function addressRules(fields: Fields, name: string): AddressRules {
  const rules = asObject(fields[name], name);
  return {...maybe(rules, 'allow', ranges), ...maybe(rules, 'deny', ranges)};
}

function ranges(rules: Fields, name: string): string[] {
  return texts(rules, name, MAX_RANGES, RANGE_CHARACTERS);
}

/** @throws MalformedMessage */
export function parseRelayMessage(payload: Buffer): RelayMessage {
  const fields = parseJsonObject(payload);
  const type = oneOf(fields, 'type', ['bound', 'bind-refused', 'unbound', 'warning']);
  switch (type) {
    case 'bound':
      return {
        type,
        request: whole(fields, 'request', 1, MAX_ID),
        tunnel: whole(fields, 'tunnel', 1, MAX_ID),
        epoch: whole(fields, 'epoch', 1, MAX_COUNT),
        host: host(fields, 'host'),
        port: whole(fields, 'port', 1, 65_535),
        ...maybe(fields, 'warning', prose, LIMITS.textCharacters),
      };
    case 'bind-refused':
      return {
        type,
        request: whole(fields, 'request', 1, MAX_ID),
        code: text(fields, 'code', 40),
        message: prose(fields, 'message', LIMITS.textCharacters),
      };
    case 'unbound':
    case 'warning':
      return {
        type,
        tunnel: whole(fields, 'tunnel', 1, MAX_ID),
        code: text(fields, 'code', 40),
        message: prose(fields, 'message', LIMITS.textCharacters),
      };
  }
}

/** @throws MalformedMessage */
export function parseVisitorOpen(payload: Buffer): VisitorOpen {
  const fields = parseJsonObject(payload);
  return {
    tunnel: whole(fields, 'tunnel', 1, MAX_ID),
    via: oneOf(fields, 'via', ['tls', 'tcp']),
    address: prose(fields, 'address', 64),
    port: whole(fields, 'port', 0, 65_535),
    ...maybe(fields, 'alpn', prose, 32),
  };
}

/** @throws MalformedMessage */
export function parseServiceOpen(payload: Buffer): ServiceOpen {
  return {service: text(parseJsonObject(payload), 'service', 40)};
}

/** @throws MalformedMessage */
export function parseProbeOpen(payload: Buffer): ProbeOpen {
  const fields = parseJsonObject(payload);
  const service = text(fields, 'service', 40);
  const secret = hex(fields, 'secret', PROBE_SECRET_DIGITS);
  const kind = oneOf(fields, 'kind', ['tls', 'tcp']);
  if (kind === 'tcp') return {service, secret, kind, port: whole(fields, 'port', 1, 65_535)};
  return {service, secret, kind, host: host(fields, 'host')};
}

/** @throws MalformedMessage */
export function parseProbeAnswer(payload: Buffer): ProbeAnswer {
  const fields = parseJsonObject(payload);
  if (flag(fields, 'ok')) return {ok: true};
  return {
    ok: false,
    leg: oneOf(fields, 'leg', ['dns', 'tcp', 'tls', 'session']),
    reason: prose(fields, 'reason', LIMITS.textCharacters),
  };
}

/** The host is used in addresses, in lines for a shell, and in the environment of programs. */
function host(fields: Fields, name: string): string {
  const value = text(fields, name, 255);
  if (!isHost(value)) throw new MalformedMessage(`${name} is no host`);
  return value;
}

/** The reason of a reset. An unreadable one counts as CANCELLED. */
export function readStreamCode(payload: Buffer): StreamCode {
  return readRefusal(payload).code;
}

/** The same for a refused stream. */
export function readRefusal(payload: Buffer): Refusal {
  try {
    const {code, message} = parseJsonObject(payload);
    return {
      code: isStreamCode(code) ? code : 'CANCELLED',
      ...(typeof message === 'string' && {message: oneLine(message.slice(0, LIMITS.textCharacters))}),
    };
  } catch {
    return {code: 'CANCELLED'};
  }
}

export function encodeMessage(message: object): Buffer {
  return Buffer.from(JSON.stringify(message), 'utf8');
}

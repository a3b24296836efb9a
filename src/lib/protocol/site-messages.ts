// JSON of the relay's own site, about the relay and about a token: built by the relay, parsed by the agent's side.

import {
  asObject,
  type Fields,
  flag,
  MalformedMessage,
  maybe,
  parseJsonObject,
  prose,
  text,
  texts,
} from './fields.js';

const MAX_TEXT = 2_048;
const MAX_TOKEN = 8_192;
const MAX_SCOPES = 1_000;

/** `GET /.well-known/tunl` */
export interface RelayInfo {
  software: string;
  domain: string;
  /** Agents need a token. */
  token: boolean;
  /** It takes tokens of an issuer in exchange for its own. */
  exchange?: boolean;
  /** People log in at this issuer of identities, by its device flow. */
  login?: IssuerInfo;
}

export interface IssuerInfo {
  issuer: string;
  clientId: string;
  /** The scopes to ask the issuer for, separated by spaces. */
  scope: string;
}

/** `GET /agent/whoami`. Empty at a relay without tokens. */
export interface Identity {
  owner?: string;
  /** The id of the token; it is no secret. */
  tokenId?: string;
  /** Missing: everything is allowed. */
  scopes?: readonly string[];
  /** ISO 8601. */
  expiresAt?: string;
}

/** `POST /agent/login`. Without a token: the one of the caller goes on, until `expiresAt`. */
export interface LoginAnswer extends Identity {
  token?: string;
}

/** Undefined when it is not such an answer. */
export const parseRelayInfo = (body: string): RelayInfo | undefined =>
  read(body, (fields) => ({
    software: prose(fields, 'software', MAX_TEXT),
    domain: prose(fields, 'domain', MAX_TEXT),
    token: flag(fields, 'token'),
    exchange: flag(fields, 'exchange'),
    ...maybe(fields, 'login', issuerInfo),
  }));

export const parseIdentity = (body: string): Identity | undefined => read(body, identity);

export const parseLoginAnswer = (body: string): LoginAnswer | undefined =>
  read(body, (fields) => ({...identity(fields), ...maybe(fields, 'token', text, MAX_TOKEN)}));

function issuerInfo(fields: Fields, name: string): IssuerInfo {
  const inner = asObject(fields[name], name);
  const issuer = text(inner, 'issuer', MAX_TEXT);
  if (!URL.canParse(issuer) || new URL(issuer).protocol !== 'https:')
    throw new MalformedMessage('issuer is no https URL');
  return {issuer, clientId: text(inner, 'clientId', MAX_TEXT), scope: prose(inner, 'scope', MAX_TEXT)};
}

function identity(fields: Fields): Identity {
  const isLimited = Array.isArray(fields.scopes);
  return {
    ...maybe(fields, 'owner', prose, MAX_TEXT),
    ...maybe(fields, 'tokenId', prose, MAX_TEXT),
    ...(isLimited && {scopes: texts(fields, 'scopes', MAX_SCOPES, MAX_TEXT)}),
    ...maybe(fields, 'expiresAt', time),
  };
}

function time(fields: Fields, name: string): string {
  const written = text(fields, name, 40);
  if (Number.isNaN(Date.parse(written))) throw new MalformedMessage(`${name} is no time`);
  return new Date(written).toISOString();
}

function read<T>(body: string, fields: (fields: Fields) => T): T | undefined {
  try {
    return fields(parseJsonObject(Buffer.from(body)));
  } catch (error) {
    if (error instanceof MalformedMessage) return undefined;
    throw error;
  }
}

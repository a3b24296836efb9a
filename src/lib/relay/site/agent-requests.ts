// Requests of agents that need no link: facts about the relay before a login, and the identity behind a token.

import type {IncomingMessage, ServerResponse} from 'node:http';
import type {Identity, IssuerInfo, RelayInfo} from '../../protocol/site-messages.js';
import {INFO_PATH, LOGIN_PATH, LOGOUT_PATH, WHOAMI_PATH} from '../../protocol/wire.js';
import type {Access, Refusal} from '../access/access.js';
import type {Logins} from '../access/logins.js';
import type {Principal} from '../access/principal.js';
import {isEverything} from '../access/rights.js';
import type {PendingConnection} from '../doors/pending-connection.js';
import {checkToken} from './check-token.js';

export interface AgentRequestsOptions {
  domain: string;
  software: string;
  access: Pick<Access, 'identify' | 'idOf' | 'isNeeded' | 'onRefused'>;
  /** Where people log in; undefined: nowhere. */
  login?: (() => IssuerInfo | undefined) | undefined;
  /** Undefined: no issuer's token is exchanged. */
  logins?: (() => Pick<Logins, 'exchange' | 'end'> | undefined) | undefined;
}

export interface SiteRequest {
  req: IncomingMessage;
  res: ServerResponse;
  connection: PendingConnection;
  json: (status: number, value: object, headers?: Record<string, string>) => void;
}

/** True when it is one of these requests: it is answered, or will be. */
export function answerAgent(options: AgentRequestsOptions, path: string, request: SiteRequest): boolean {
  if (request.req.method === 'POST') return answerPost(options, path, request);
  switch (path) {
    case INFO_PATH:
      request.json(200, infoOf(options));
      return true;
    case WHOAMI_PATH:
      withPrincipal(options, request, (principal) => request.json(200, identityOf(principal)));
      return true;
    default:
      return false;
  }
}

function answerPost(options: AgentRequestsOptions, path: string, request: SiteRequest): boolean {
  const {req, json, connection} = request;
  const logins = options.logins?.();
  const from = connection.peer.source;
  if (logins === undefined) return false;
  switch (path) {
    case LOGIN_PATH:
      withPrincipal(options, request, (principal) => {
        const renewed = textOf(req.headers['tunl-renew']);
        const answered = principal && logins.exchange(principal, {renewed, from});
        // A slow disk must not make the login look like a stranger.
        void answered?.then((answer) => ('ok' in answer ? refuse(json, answer) : json(200, answer)));
        if (answered === undefined) json(200, {});
      });
      return true;
    case LOGOUT_PATH:
      withPrincipal(options, request, (principal) => {
        const ended = principal && logins.end(principal, from);
        void ended?.then((refusal) => (refusal ? refuse(json, refusal) : json(200, {})));
        if (ended === undefined) json(200, {});
      });
      return true;
    default:
      return false;
  }
}

const textOf = (header: string | string[] | undefined) => (typeof header === 'string' ? header : undefined);

function infoOf({software, domain, access, login, logins}: AgentRequestsOptions): RelayInfo {
  const issuer = login?.();
  const exchange = logins?.() !== undefined;
  return {
    software,
    domain,
    token: access.isNeeded,
    ...(exchange && {exchange}),
    ...(issuer !== undefined && {login: issuer}),
  };
}

function withPrincipal(
  {access}: AgentRequestsOptions,
  {req, connection, json}: SiteRequest,
  use: (principal: Principal | undefined) => void,
): void {
  const {authorization} = req.headers;
  checkToken(access, {authorization, connection, socket: req.socket}, (verdict) => {
    if (!verdict.ok) return refuse(json, verdict);
    if (verdict.principal !== undefined) connection.recognise();
    use(verdict.principal);
  });
}

export function refuse(
  json: SiteRequest['json'],
  {status = 401, code, message, retryAfterMs}: Omit<Refusal, 'ok'>,
): void {
  const headers = retryAfterMs === undefined ? {} : {'Retry-After': String(Math.ceil(retryAfterMs / 1_000))};
  json(status, {error: {code, message}}, headers);
}

/** Empty at a relay without tokens. */
function identityOf(principal: Principal | undefined): Identity {
  if (principal === undefined) return {};
  const {owner, tokenId, rights, expiresAt} = principal;
  return {
    owner,
    ...(tokenId !== undefined && {tokenId}),
    ...(!isEverything(rights) && {scopes: rights.scopes}),
    ...(expiresAt !== undefined && {expiresAt: new Date(expiresAt).toISOString()}),
  };
}

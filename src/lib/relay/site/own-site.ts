// The site at the relay's own name: health, a small page for people, and the WebSocket upgrade of agents.

import type {IncomingMessage} from 'node:http';
import type {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {acceptUpgrade, judgeOrigin, refuseUpgrade} from '../../carrier/upgrade.js';
import type {Carrier} from '../../mux/carrier.js';
import {AGENT_PATH, SESSION_HEADER} from '../../protocol/wire.js';
import type {Principal} from '../access/principal.js';
import {COME_BACK_MS, LEAVING} from '../agents/goodbye.js';
import {OneRequest} from '../doors/one-request.js';
import type {PendingConnection} from '../doors/pending-connection.js';
import type {SessionLimit} from '../limits/session-limit.js';
import type {RelayStats} from '../options.js';
import type {Part} from '../part.js';
import {type AgentRequestsOptions, answerAgent, type SiteRequest} from './agent-requests.js';
import {checkToken} from './check-token.js';
import {abuseOf, landingPage, securityText} from './pages.js';

/** An agent that may send its hello. */
export interface Caller {
  /** The identity from its token, or of the session that it names. Undefined when no token is needed. */
  principal: Principal | undefined;
  /** The session that it must resume, because it has shown no token. */
  ticket?: string | undefined;
  /** The hello has proved its identity without a token. */
  recognised: () => void;
  /** The hello has led to a session. Until then the connection's time is limited. */
  entered: () => void;
  /** The session that it wants to resume is in this other process of the relay. */
  strayed?: (worker: number) => void;
}

export interface OwnSiteOptions extends AgentRequestsOptions {
  /** The relay's address, known when it listens: the value for --relay of agents. */
  url: () => string;
  /** A URI for reports of abuse. */
  abuseContact: string | undefined;
  /** A promise when the relay has several processes. */
  stats: () => RelayStats | Promise<RelayStats>;
  /** An agent of this source has come to the wrong process. Default: there is only one. */
  onStrayed?: ((source: string, worker: number) => void) | undefined;
  sessions: Pick<SessionLimit, 'enter'>;
  onAgent: (carrier: Carrier, caller: Caller) => void;
  /** As `Agents.mayResume`. */
  mayResume: (sessionId: string) => Principal | 'elsewhere' | undefined;
}

/** Gets connections to the relay's name after their TLS handshake. */
export class OwnSite implements Part {
  readonly #requests: OneRequest;
  readonly #connections = new WeakMap<Duplex, PendingConnection>();
  /** Agents are being sent away. */
  #draining = false;

  constructor(options: OwnSiteOptions) {
    this.#requests = new OneRequest({
      onRequest: (req, res) => {
        const connection = this.#connections.get(req.socket);
        if (connection === undefined) req.socket.destroy();
        else answer({...options, draining: () => this.#draining}, {req, res, connection});
      },
      onUpgrade: (req, socket, head) => {
        const connection = this.#connections.get(socket);
        if (connection === undefined) socket.destroy();
        else onUpgrade({...options, draining: () => this.#draining}, {req, socket, head, connection});
      },
    });
  }

  drain(): void {
    this.#draining = true;
  }

  accept = (socket: Socket, connection: PendingConnection): void => {
    this.#connections.set(socket, connection);
    this.#requests.accept(socket);
  };
}

const REFUSAL = {code: 'RELAY_BUSY', message: LEAVING, retryAfterMs: COME_BACK_MS} as const;

type SiteNow = OwnSiteOptions & {draining: () => boolean};

function answer(options: SiteNow, {req, res, connection}: Omit<SiteRequest, 'json'>): void {
  const [path = '/'] = (req.url ?? '/').split('?', 1);
  const send = (status: number, type: string, body: string, headers: Record<string, string> = {}) => {
    res.writeHead(status, {
      ...headers,
      'Content-Type': type,
      'Content-Length': Buffer.byteLength(body),
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'",
    });
    res.end(req.method === 'HEAD' ? undefined : body);
  };
  const json: SiteRequest['json'] = (status, value, headers) =>
    send(status, 'application/json', `${JSON.stringify(value)}\n`, headers);
  if (req.method === 'POST' && answerAgent(options, path, {req, res, connection, json})) return;
  if (req.method !== 'GET' && req.method !== 'HEAD') {
    res.setHeader('Allow', 'GET, HEAD');
    json(405, {error: {code: 'METHOD_NOT_ALLOWED', message: 'Only GET is supported.'}});
  } else if (path === '/healthz') {
    const status = options.draining() ? 'draining' : 'ok';
    const tell = (stats: RelayStats) =>
      json(options.draining() ? 503 : 200, {status, software: options.software, ...stats});
    const stats = options.stats();
    if (stats instanceof Promise) stats.then(tell, () => res.destroy());
    else tell(stats);
  } else if (path === '/') send(200, 'text/html; charset=utf-8', landingPage(options));
  else if (path === '/.well-known/security.txt' && options.abuseContact !== undefined)
    send(200, 'text/plain; charset=utf-8', securityText(options.abuseContact, `${options.url()}${path}`));
  else if (path === AGENT_PATH)
    json(426, {error: {code: 'PROTOCOL', message: 'Agents upgrade to a WebSocket here.'}});
  else if (!answerAgent(options, path, {req, res, connection, json}))
    json(404, {error: {code: 'NOT_FOUND', message: 'Not found.'}, ...abuseOf(options)});
}

interface Upgrade {
  req: IncomingMessage;
  socket: Duplex;
  head: Buffer;
  connection: PendingConnection;
}

function onUpgrade(options: SiteNow, {req, socket, head, connection}: Upgrade): void {
  const path = (req.url ?? '/').split('?', 1)[0];
  if (path !== AGENT_PATH) {
    refuseUpgrade(socket, 404, {code: 'RELAY_NOT_TUNL', message: 'Agents upgrade at another path.'});
    return;
  }
  const foreign = judgeOrigin(req);
  if (foreign !== undefined) {
    refuseUpgrade(socket, foreign.status, foreign);
    return;
  }
  if (options.draining()) {
    refuseUpgrade(socket, 503, REFUSAL);
    return;
  }
  const session = req.headers[SESSION_HEADER];
  if (typeof session === 'string') {
    // Guesses are hopeless, and the connection still pays for its failure.
    const principal = options.mayResume(session);
    if (principal === undefined) {
      refuseUpgrade(socket, 401, {code: 'SESSION_UNKNOWN', message: 'This session is not known here.'});
      return;
    }
    admit(
      options,
      {req, socket, head, connection},
      principal === 'elsewhere' ? undefined : principal,
      session,
    );
    return;
  }
  const {authorization} = req.headers;
  checkToken(options.access, {authorization, connection, socket}, (verdict) => {
    if (!verdict.ok) {
      const {status = 401, code, message, retryAfterMs} = verdict;
      refuseUpgrade(socket, status, {code, message, ...(retryAfterMs !== undefined && {retryAfterMs})});
      return;
    }
    // It may have begun while the token was checked.
    if (options.draining()) {
      refuseUpgrade(socket, 503, REFUSAL);
      return;
    }
    admit(options, {req, socket, head, connection}, verdict.principal);
  });
}

function admit(
  options: SiteNow,
  {req, socket, head, connection}: Upgrade,
  principal: Principal | undefined,
  ticket?: string,
): void {
  const waitMs = principal && options.sessions.enter(principal);
  if (waitMs !== undefined) {
    refuseUpgrade(socket, 429, {
      code: 'RELAY_BUSY',
      message: 'Agents of this owner connect too often.',
      retryAfterMs: waitMs,
    });
    return;
  }
  const carrier = acceptUpgrade({req, socket, head});
  if (carrier === undefined) return;
  // A session that is only named is not proved yet.
  if (principal !== undefined && ticket === undefined) connection.recognise();
  const recognised = () => connection.recognise();
  const strayed = (worker: number) => options.onStrayed?.(connection.peer.source, worker);
  const entered = () => connection.enter();
  options.onAgent(carrier, {principal, ticket, recognised, entered, strayed});
}

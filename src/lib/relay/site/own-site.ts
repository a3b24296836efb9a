// The site at the relay's own name: health, a small page for people, and the WebSocket upgrade of agents.

import type {IncomingMessage, ServerResponse} from 'node:http';
import type {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {acceptUpgrade, judgeOrigin, refuseUpgrade} from '../../carrier/upgrade.js';
import type {Carrier} from '../../mux/carrier.js';
import {AGENT_PATH} from '../../protocol/wire.js';
import type {Access, Verdict} from '../access/access.js';
import type {Principal} from '../access/principal.js';
import {OneRequest} from '../doors/one-request.js';
import type {PendingConnection} from '../doors/pending-connection.js';
import type {RelayStats} from '../options.js';
import type {Part} from '../part.js';

/** An agent that may send its hello. */
export interface Caller {
  /** The identity from its token. Undefined when no token is needed. */
  principal: Principal | undefined;
  /** The hello has proved its identity without a token. */
  recognised: () => void;
  /** The hello has led to a session. Until then the connection's time is limited. */
  entered: () => void;
  /** The session that it wants to resume is in this other process of the relay. */
  strayed?: (worker: number) => void;
}

export interface OwnSiteOptions {
  domain: string;
  /** The relay's address, known when it listens: the value for --relay of agents. */
  url: () => string;
  software: string;
  access: Pick<Access, 'identify' | 'idOf'>;
  /** A promise when the relay has several processes. */
  stats: () => RelayStats | Promise<RelayStats>;
  /** An agent of this source has come to the wrong process. Default: there is only one. */
  onStrayed?: ((source: string, worker: number) => void) | undefined;
  onAgent: (carrier: Carrier, caller: Caller) => void;
}

/** Gets connections to the relay's name after their TLS handshake. */
export class OwnSite implements Part {
  readonly #requests: OneRequest;
  readonly #connections = new WeakMap<Duplex, PendingConnection>();
  /** Agents are being sent away. */
  #draining = false;

  constructor(options: OwnSiteOptions) {
    this.#requests = new OneRequest({
      onRequest: (req, res) => answer({...options, draining: () => this.#draining}, req, res),
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

const LEAVING = {code: 'RELAY_BUSY', message: 'The relay is shutting down.', retryAfterMs: 1_000} as const;

type SiteNow = OwnSiteOptions & {draining: () => boolean};

function answer(options: SiteNow, req: IncomingMessage, res: ServerResponse): void {
  const path = (req.url ?? '/').split('?', 1)[0];
  const send = (status: number, type: string, body: string) => {
    res.writeHead(status, {
      'Content-Type': type,
      'Content-Length': Buffer.byteLength(body),
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'",
    });
    res.end(req.method === 'HEAD' ? undefined : body);
  };
  const json = (status: number, value: object) =>
    send(status, 'application/json', `${JSON.stringify(value)}\n`);
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
  } else if (path === '/') send(200, 'text/html; charset=utf-8', landingPage(options.domain, options.url()));
  else if (path === AGENT_PATH)
    json(426, {error: {code: 'PROTOCOL', message: 'Agents upgrade to a WebSocket here.'}});
  else json(404, {error: {code: 'NOT_FOUND', message: 'Not found.'}});
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
    refuseUpgrade(socket, 503, LEAVING);
    return;
  }
  const {authorization} = req.headers;
  const id = options.access.idOf(authorization);
  // The limit comes before the token check, so a flood of guesses costs no hashes and learns nothing.
  if (!connection.mayLogIn(id)) {
    refuseUpgrade(socket, 429, {
      code: 'RELAY_BUSY',
      message: 'Too many tokens from this address were refused.',
      retryAfterMs: connection.loginWaitMs(id),
    });
    return;
  }
  const admit = (verdict: Verdict) => {
    if (!verdict.ok) {
      const {status = 401, code, message, retryAfterMs} = verdict;
      if (status === 401 || status === 403) connection.loginFailed(id);
      refuseUpgrade(socket, status, {code, message, ...(retryAfterMs !== undefined && {retryAfterMs})});
      return;
    }
    const carrier = acceptUpgrade({req, socket, head});
    if (carrier === undefined) return;
    const {principal} = verdict;
    if (principal !== undefined) connection.recognise();
    const recognised = () => connection.recognise();
    const strayed = (worker: number) => options.onStrayed?.(connection.peer.source, worker);
    options.onAgent(carrier, {principal, recognised, entered: () => connection.enter(), strayed});
  };
  const checked = connection.beginCheck();
  if (checked === undefined) {
    refuseUpgrade(socket, 429, {
      code: 'RELAY_BUSY',
      message: 'Too many tokens are being checked.',
      retryAfterMs: 1_000,
    });
    return;
  }
  const verdict = options.access.identify(authorization);
  if (!(verdict instanceof Promise)) {
    checked();
    admit(verdict);
    return;
  }
  // Nobody reads the socket meanwhile, so its bytes stay in it. The connection is still pending, with its deadline.
  void verdict
    .catch(() => UNCHECKED)
    .finally(checked)
    .then((late) => {
      if (connection.over || socket.destroyed) socket.destroy();
      else if (options.draining()) refuseUpgrade(socket, 503, LEAVING);
      else admit(late);
    });
}

/** A verifier has failed. */
const UNCHECKED: Verdict = {
  ok: false,
  code: 'RELAY_BUSY',
  message: 'The relay cannot check this token now.',
  status: 503,
  retryAfterMs: 1_000,
};

function landingPage(domain: string, url: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>tunl relay</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}code{background:#eee;padding:.1em .3em}</style>
</head><body>
<h1>tunl relay</h1>
<p>This machine gives local ports a public address. Tunnels are names below <code>${domain}</code>.</p>
<p><code>tunl expose 8000 --relay ${url}</code></p>
</body></html>
`;
}

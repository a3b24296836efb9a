// `startRelay`: a whole relay from one call.

import {createServer as createPlainServer, type Server as HttpServer} from 'node:http';
import {createServer, type Server} from 'node:net';
import {systemClock} from '../core/clock.js';
import {systemCode, TunlError} from '../core/errors.js';
import {createLogger} from '../core/logger.js';
import {software} from '../core/software.js';
import {BlockPool} from '../mux/blocks.js';
import {WindowBudget} from '../mux/window.js';
import {formatHostPort, publicUrl} from '../protocol/targets.js';
import {Agents} from './agents.js';
import {openCertificates} from './certificates.js';
import {FrontDoor} from './front-door.js';
import type {Relay, RelayOptions, RelayStats} from './options.js';
import {createOwnSite} from './own-site.js';
import {MemoryRegistry} from './registry.js';
import {type RelaySettings, settleRelayOptions} from './settings.js';
import {TcpPorts} from './tcp-ports.js';
import {createTokenCheck} from './tokens.js';
import {TunnelTable} from './tunnels.js';
import {Visitors} from './visitors.js';

/** What all streams of a relay may grow their windows by. */
const WINDOW_BUDGET_BYTES = 1024 * 1024 * 1024;

/** Connections that the system may hold for a busy relay. */
const BACKLOG = 4096;

/**
 * Starts a relay and resolves when it listens.
 *
 * @throws TunlError OPTION_INVALID, NAME_INVALID, TOKEN_NEEDED, FILE_UNREADABLE, TOKEN_FILE_EMPTY, CERTIFICATE_INVALID,
 * KEY_MISMATCH, STATE_DIR, LISTEN_IN_USE, LISTEN_FORBIDDEN, LISTEN_FAILED, ABORTED.
 */
export async function startRelay(options: RelayOptions = {}): Promise<Relay> {
  const settings = await settleRelayOptions(options);
  const relay = await RunningRelay.start(settings);
  const {signal} = options;
  if (signal?.aborted) {
    await relay.close();
    throw new TunlError('ABORTED');
  }
  signal?.addEventListener('abort', () => void relay.close(), {once: true});
  return relay;
}

class RunningRelay implements Relay {
  readonly domain: string;
  readonly caFile: string | undefined;
  address = {host: '', port: 0};
  httpAddress: {host: string; port: number} | undefined;
  readonly #settings: RelaySettings;
  readonly #agents: Agents;
  readonly #tunnels: TunnelTable;
  readonly #visitors = new Visitors();
  readonly #ports: TcpPorts;
  readonly #site: HttpServer;
  readonly #door: Server;
  #plain: HttpServer | undefined;
  #closing: Promise<void> | undefined;

  static async start(settings: RelaySettings): Promise<RunningRelay> {
    const log = createLogger('relay', settings.log);
    const certificates = await openCertificates({...settings, log});
    const relay = new RunningRelay(settings, certificates, log);
    await relay.#listen();
    return relay;
  }

  private constructor(
    settings: RelaySettings,
    certificates: Awaited<ReturnType<typeof openCertificates>>,
    log: ReturnType<typeof createLogger>,
  ) {
    this.#settings = settings;
    this.domain = settings.domain;
    this.caFile = certificates.caFile;
    const clock = systemClock;
    const registry = new MemoryRegistry({graceMs: settings.leaseGraceMs, clock});
    this.#ports = new TcpPorts({
      range: settings.tcpPorts,
      host: settings.tcpHost,
      onVisitor: (socket, port) =>
        this.#visitors.welcome(this.#tunnels.ofPort(port), {socket, raw: socket, via: 'tcp'}),
    });
    this.#tunnels = new TunnelTable({
      domain: settings.domain,
      publicPort: () => this.#publicPort,
      tcpPublicHost: settings.tcpPublicHost,
      registry,
      ports: this.#ports,
      log,
    });
    this.#agents = new Agents({
      software,
      tunnels: this.#tunnels,
      pool: new BlockPool(),
      windowBudget: new WindowBudget(WINDOW_BUDGET_BYTES),
      resumeWindowMs: settings.resumeWindowMs,
      maxTunnelsPerAgent: settings.maxTunnelsPerAgent,
      keepForReplay: settings.keepForReplay,
      clock,
      log,
    });
    this.#site = createOwnSite({
      domain: settings.domain,
      software,
      tokens: createTokenCheck(settings.token),
      stats: () => this.stats(),
      draining: () => this.#closing !== undefined,
      onAgent: this.#agents.accept,
    });
    const door = new FrontDoor({
      domain: settings.domain,
      certificates,
      tunnels: this.#tunnels,
      visitors: this.#visitors,
      onOwn: (socket) => this.#site.emit('connection', socket),
      log,
    });
    this.#door = createServer({allowHalfOpen: true, noDelay: true, keepAlive: true}, door.accept);
  }

  get url(): string {
    return publicUrl(this.domain, this.#publicPort);
  }

  get #publicPort(): number {
    return this.#settings.publicPort ?? this.address.port;
  }

  stats(): RelayStats {
    return {agents: this.#agents.size, tunnels: this.#tunnels.size, visitors: this.#visitors.open};
  }

  close(options: {drainTimeoutMs?: number} = {}): Promise<void> {
    this.#closing ??= this.#drain(options.drainTimeoutMs ?? 0);
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #listen(): Promise<void> {
    const {listen, listenHttp} = this.#settings;
    this.address = await listenOn(this.#door, listen);
    if (listenHttp === undefined) return;
    this.#plain = createRedirect(this.domain, () => this.#publicPort);
    try {
      this.httpAddress = await listenOn(this.#plain, listenHttp);
    } catch (error) {
      this.#door.close();
      throw error;
    }
  }

  /** In order: nobody new, agents learn when to come back, open visitors finish, then everything ends. */
  async #drain(timeoutMs: number): Promise<void> {
    this.#door.close();
    this.#plain?.close();
    this.#plain?.closeAllConnections();
    this.#ports.closeAll();
    this.#agents.sendAway('The relay is going away.', () => Math.random() * this.#settings.comeBackWithinMs);
    if (this.#visitors.open > 0 && timeoutMs > 0) await this.#visitorsGone(timeoutMs);
    this.#agents.closeAll('RELAY_LOST', 'The relay went away.');
    this.#site.closeAllConnections();
    this.#site.close();
  }

  #visitorsGone(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#visitors.onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** @throws TunlError LISTEN_* */
function listenOn(
  server: Server | HttpServer,
  {host, port}: {host: string; port: number},
): Promise<{host: string; port: number}> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => {
      const code = systemCode(error);
      const where = formatHostPort(host, port);
      const known = {EADDRINUSE: 'LISTEN_IN_USE', EACCES: 'LISTEN_FORBIDDEN'} as const;
      const mine = code === 'EADDRINUSE' || code === 'EACCES' ? known[code] : 'LISTEN_FAILED';
      reject(new TunlError(mine, {reason: `Cannot listen on ${where} (${code}).`, cause: error}));
    };
    server.once('error', failed);
    server.listen({host, port, backlog: BACKLOG}, () => {
      server.off('error', failed);
      // Out of descriptors, say: the relay goes on with what it has.
      server.on('error', () => {});
      const address = server.address();
      resolve({host, port: typeof address === 'object' && address !== null ? address.port : port});
    });
  });
}

function createRedirect(domain: string, publicPort: () => number): HttpServer {
  return createPlainServer({headersTimeout: 10_000, requestTimeout: 10_000}, (req, res) => {
    const asked = (req.headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
    // Only names of this relay: a redirect to whatever Host says would be anybody's.
    const known = asked === domain || asked.endsWith(`.${domain}`) ? asked : domain;
    const path = req.url?.startsWith('/') ? req.url : '/';
    res.writeHead(308, {Location: publicUrl(known, publicPort()) + path, 'Content-Length': 0});
    res.end();
    req.resume();
  });
}

// `startRelay`: a whole relay from one call.

import type {Server as HttpServer} from 'node:http';
import {createServer, type Server, type Socket} from 'node:net';
import {totalmem} from 'node:os';
import {join} from 'node:path';
import {systemClock} from '../core/clock.js';
import {systemCode, TunlError} from '../core/errors.js';
import {createLogger, type Logger} from '../core/logger.js';
import {createServer as createPlainServer} from '../core/node-http.js';
import {software} from '../core/software.js';
import {BlockPool} from '../mux/blocks.js';
import {ReplayBudget} from '../mux/replay-budget.js';
import {WindowBudget} from '../mux/window.js';
import {formatHostPort, type HostPort, isHost, publicUrl} from '../protocol/targets.js';
import {Agents} from './agents.js';
import {type CertificateSource, openCertificates} from './certificates.js';
import {FrontDoor} from './front-door.js';
import {LeaseStore} from './lease-store.js';
import type {Relay, RelayOptions, RelayStats} from './options.js';
import {createOwnSite} from './own-site.js';
import {type Lease, type LeaseKey, MemoryRegistry} from './registry.js';
import {type RelaySettings, settleRelayOptions} from './settings.js';
import {TcpPorts} from './tcp-ports.js';
import {createTokenCheck} from './tokens.js';
import {type Tunnel, TunnelTable} from './tunnels.js';
import {defaultUnreadLimit, UnreadLimit} from './unread-limit.js';
import {Visitors} from './visitors.js';
import {WaitingRoom} from './waiting-room.js';

/** What all sessions of a relay keep for replay: 32 that lost their links in full flight, and all others a share. */
const REPLAY_BUDGET_BYTES = 512 * 1024 * 1024;

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

interface RelayParts {
  settings: RelaySettings;
  certificates: CertificateSource;
  store: LeaseStore | undefined;
  leases: ReadonlyArray<readonly [LeaseKey, Lease]>;
  log: Logger;
}

class RunningRelay implements Relay {
  readonly domain: string;
  readonly caFile: string | undefined;
  address = {host: '', port: 0};
  httpAddress: {host: string; port: number} | undefined;
  readonly #settings: RelaySettings;
  readonly #certificates: CertificateSource;
  readonly #store: LeaseStore | undefined;
  readonly #registry: MemoryRegistry;
  readonly #waitingRoom: WaitingRoom;
  readonly #agents: Agents;
  readonly #tunnels: TunnelTable;
  readonly #unread: UnreadLimit;
  readonly #visitors: Visitors;
  readonly #ports: TcpPorts;
  readonly #site: HttpServer;
  readonly #door: Server;
  #warm = false;
  #plain: HttpServer | undefined;
  #closing: Promise<void> | undefined;

  static async start(settings: RelaySettings): Promise<RunningRelay> {
    const log = createLogger('relay', settings.log);
    const certificates = await openCertificates({...settings, clock: systemClock, log});
    const path = join(settings.stateDir, 'relay', settings.domain, 'leases.json');
    const store = settings.keepLeases ? new LeaseStore({path, clock: systemClock, log}) : undefined;
    const leases = (await store?.load()) ?? [];
    const relay = new RunningRelay({settings, certificates, store, leases, log});
    try {
      await relay.#listen();
    } catch (error) {
      certificates.close();
      relay.#unread.close();
      throw error;
    }
    await relay.#reopen(leases);
    return relay;
  }

  private constructor({settings, certificates, store, leases, log}: RelayParts) {
    this.#settings = settings;
    this.#certificates = certificates;
    this.#store = store;
    this.domain = settings.domain;
    this.caFile = certificates.caFile;
    const clock = systemClock;
    // One number for both: what windows may grow by, and what may really stand in them.
    const limitBytes = settings.maxUnreadBytes ?? defaultUnreadLimit(totalmem());
    const windowBudget = new WindowBudget(limitBytes);
    this.#unread = new UnreadLimit({limitBytes, clock, log});
    this.#visitors = new Visitors(this.#unread);
    this.#registry = new MemoryRegistry({
      graceMs: settings.leaseGraceMs,
      initial: leases,
      onChange: () => store?.schedule(() => this.#registry.snapshot()),
    });
    const expected = leases.filter(([, lease]) => lease.expiresAt === undefined).map(([key]) => key);
    this.#waitingRoom = new WaitingRoom(expected, clock, (keys) => this.#giveUp(keys));
    this.#ports = new TcpPorts({
      range: settings.tcpPorts,
      host: settings.tcpHost,
      reusePort: settings.reusePort,
      onVisitor: (socket, port) => this.#onTcpVisitor(socket, port),
    });
    this.#tunnels = new TunnelTable({
      domain: settings.domain,
      publicPort: () => this.#publicPort,
      tcpPublicHost: settings.tcpPublicHost,
      h2Offered: settings.h2Offered,
      registry: this.#registry,
      ports: this.#ports,
      log,
    });
    this.#agents = new Agents({
      software,
      tunnels: this.#tunnels,
      onBound: (tunnel) => {
        this.#waitingRoom.open(tunnel);
        this.#warmUp(certificates, tunnel);
      },
      pool: new BlockPool(),
      windowBudget,
      replayBudget: new ReplayBudget(REPLAY_BUDGET_BYTES),
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
      clock,
      stats: () => this.stats(),
      draining: () => this.#closing !== undefined,
      onAgent: this.#agents.accept,
    });
    const door = new FrontDoor({
      domain: settings.domain,
      certificates,
      tunnels: this.#tunnels,
      visitors: this.#visitors,
      waitingRoom: this.#waitingRoom,
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

  async reload(): Promise<void> {
    await this.#certificates.reload();
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
    this.address = await listenOn(this.#door, listen, this.#settings.reusePort);
    if (listenHttp === undefined) return;
    this.#plain = createRedirect(this.domain, () => this.#publicPort);
    try {
      this.httpAddress = await listenOn(this.#plain, listenHttp, this.#settings.reusePort);
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
    this.#waitingRoom.close();
    this.#certificates.close();
    // What is held now is expected back by the next process; from here on the file is its own.
    await this.#store?.seal(this.#registry.snapshot());
    this.#agents.sendAway('The relay is going away.', () => Math.random() * this.#settings.comeBackWithinMs);
    if (this.#visitors.open > 0 && timeoutMs > 0) await this.#visitorsGone(timeoutMs);
    this.#agents.closeAll('RELAY_LOST', 'The relay went away.');
    this.#unread.close();
    this.#site.closeAllConnections();
    this.#site.close();
  }

  /** TCP ports of tunnels that are expected back listen at once, so that their visitors wait instead of being refused. */
  async #reopen(leases: ReadonlyArray<readonly [LeaseKey, Lease]>): Promise<void> {
    const ports = leases
      .filter(([key, lease]) => key.startsWith('tcp:') && lease.expiresAt === undefined)
      .map(([key]) => Number(key.slice(4)))
      .filter((port) => this.#ports.includes(port));
    await Promise.all(ports.map((port) => this.#ports.open(port)));
  }

  /** Signing the first leaf loads a good deal of code: better before the first visitor than while it waits. */
  #warmUp(certificates: CertificateSource, {key, host}: Tunnel): void {
    if (this.#warm || !key.startsWith('tls:')) return;
    this.#warm = true;
    Promise.resolve(certificates.contextFor(host)).catch(() => {});
  }

  #giveUp(keys: LeaseKey[]): void {
    for (const key of keys) {
      const port = key.startsWith('tcp:') ? Number(key.slice(4)) : 0;
      if (port !== 0 && this.#tunnels.ofPort(port) === undefined) this.#ports.close(port);
    }
  }

  #onTcpVisitor(socket: Socket, port: number): void {
    const enter = (tunnel: Tunnel | undefined) =>
      this.#visitors.welcome(tunnel, {socket, raw: socket, via: 'tcp'});
    const tunnel = this.#tunnels.ofPort(port);
    if (tunnel !== undefined) enter(tunnel);
    else {
      socket.on('error', () => {});
      if (!this.#waitingRoom.wait(`tcp:${port}`, socket, enter)) enter(undefined);
    }
  }

  #visitorsGone(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = systemClock.after(timeoutMs, resolve);
      this.#visitors.onIdle = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}

/** @throws TunlError LISTEN_* */
function listenOn(
  server: Server | HttpServer,
  {host, port}: HostPort,
  reusePort: boolean,
): Promise<HostPort> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => {
      const code = systemCode(error);
      const where = formatHostPort(host, port);
      const known = {EADDRINUSE: 'LISTEN_IN_USE', EACCES: 'LISTEN_FORBIDDEN'} as const;
      const mine = code === 'EADDRINUSE' || code === 'EACCES' ? known[code] : 'LISTEN_FAILED';
      reject(new TunlError(mine, {reason: `Cannot listen on ${where} (${code}).`, cause: error}));
    };
    server.once('error', failed);
    server.listen({host, port, backlog: BACKLOG, reusePort}, () => {
      server.off('error', failed);
      // Out of descriptors, say: the relay goes on with what it has.
      server.on('error', () => {});
      const address = server.address();
      resolve({host, port: typeof address === 'object' && address !== null ? address.port : port});
    });
  });
}

function createRedirect(domain: string, publicPort: () => number): HttpServer {
  // Node looks every half a minute, unless told otherwise, whether somebody is past a limit.
  const limits = {headersTimeout: 10_000, requestTimeout: 10_000, connectionsCheckingInterval: 1_000};
  return createPlainServer(limits, (req, res) => {
    const asked = (req.headers.host ?? '').replace(/:\d+$/, '').toLowerCase();
    // Only names of this relay: a redirect to whatever Host says would be anybody's.
    const known = isHost(asked) && asked.endsWith(`.${domain}`) ? asked : domain;
    const path = req.url?.startsWith('/') ? req.url : '/';
    res.writeHead(308, {Location: publicUrl(known, publicPort()) + path, 'Content-Length': 0});
    res.end();
    req.resume();
  });
}

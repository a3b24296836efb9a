// `startRelay`: a whole relay from one call.

import {createServer, type Server} from 'node:net';
import {totalmem} from 'node:os';
import {join} from 'node:path';
import {defaultUnreadLimit, memoryOf, UnreadLimit} from '../bytes/unread-limit.js';
import {atMost, systemClock} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import {createLogger, type Logger} from '../core/logger.js';
import {software} from '../core/software.js';
import {checkState} from '../core/state-trust.js';
import {BlockPool} from '../mux/blocks.js';
import {ReplayBudget} from '../mux/replay-budget.js';
import {WindowBudget} from '../mux/window-budget.js';
import {publicUrl} from '../protocol/targets.js';
import {KIND} from '../protocol/wire.js';
import {Agents} from './agents.js';
import {type CertificateSource, openCertificates} from './certificates.js';
import {Descriptors} from './doors/descriptors.js';
import {PendingConnections} from './doors/pending.js';
import {Room, SHARE_OF_MEMORY} from './doors/room.js';
import {trustedSources} from './doors/trusted.js';
import {VisitorWatch} from './doors/visitor-watch.js';
import {FrontDoor} from './front-door.js';
import {KeptLimit} from './kept-limit.js';
import {LeaseStore} from './lease-store.js';
import {listenOn} from './listen.js';
import {OpenedStreams} from './opened-streams.js';
import type {Relay, RelayOptions, RelayStats} from './options.js';
import {OwnSite} from './own-site.js';
import {createRedirect} from './redirect.js';
import {type LeaseKey, type LeaseRow, MemoryRegistry} from './registry.js';
import {services} from './services.js';
import {type RelaySettings, settleRelayOptions} from './settings.js';
import {TcpDoor} from './tcp-door.js';
import {TcpPorts} from './tcp-ports.js';
import {createTokenCheck} from './tokens.js';
import {type Tunnel, TunnelTable} from './tunnels.js';
import {Visitors} from './visitors.js';
import {WaitingRoom} from './waiting-room.js';
import {WaitingVisitors} from './waiting-visitors.js';

/** The replay budget of a relay: enough for 32 sessions that lost a busy link, and a share for all others. */
const REPLAY_BUDGET_BYTES = 512 * 1024 * 1024;

/** How long agents may take for bytes of visitors who have gone, and to hear of the end: who is away is not waited for. */
const LAST_BYTES_MS = 5_000;
const LAST_WORDS_MS = 1_000;

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
  leases: readonly LeaseRow[];
  /** The leases that agents of the last process still held: these agents are expected back. */
  expected: readonly LeaseKey[];
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
  readonly #streams: OpenedStreams;
  readonly #tunnels: TunnelTable;
  readonly #unread: UnreadLimit;
  readonly #kept: KeptLimit;
  readonly #waitingVisitors: WaitingVisitors;
  readonly #visitors: Visitors;
  readonly #ports: TcpPorts;
  readonly #tcpDoor: TcpDoor;
  readonly #pending: PendingConnections;
  readonly #watch: VisitorWatch;
  readonly #room: Room;
  readonly #door: Server;
  #warm = false;
  #plain: Server | undefined;
  #closing: Promise<void> | undefined;

  static async start(settings: RelaySettings): Promise<RunningRelay> {
    const log = createLogger('relay', settings.log);
    const place = ['relay', settings.domain, 'leases.json'];
    if (settings.keepLeases) await checkState(settings.stateDir, ...place);
    const certificates = await openCertificates({...settings, clock: systemClock, log});
    const path = join(settings.stateDir, ...place);
    const store = settings.keepLeases ? new LeaseStore({path, clock: systemClock, log}) : undefined;
    const leases = (await store?.load()) ?? [];
    const expected = leases.filter(([, lease]) => lease.expiresAt === undefined).map(([key]) => key);
    const relay = new RunningRelay({settings, certificates, store, leases, expected, log});
    try {
      await relay.#listen();
    } catch (error) {
      certificates.close();
      relay.#closeWatches();
      throw error;
    }
    await relay.#tcpDoor.expect(expected);
    return relay;
  }

  private constructor({settings, certificates, store, leases, expected, log}: RelayParts) {
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
    this.#waitingVisitors = new WaitingVisitors({clock, waitMs: settings.visitorWaitMs});
    const isTrusted = trustedSources(settings.trustedSources);
    this.#watch = new VisitorWatch({clock, idleTimeoutMs: settings.visitorIdleTimeoutMs, isTrusted});
    this.#room = new Room({
      clock,
      log,
      descriptors: new Descriptors({
        clock,
        connections: () => this.#pending.count + this.#visitors.open + this.#agents.size,
      }),
      idleBytes: () => this.#visitors.idleBytes,
      mostBytes: memoryOf(totalmem()) * SHARE_OF_MEMORY,
      watch: this.#watch,
    });
    this.#visitors = new Visitors({
      unread: this.#unread,
      watch: this.#watch,
      waiting: this.#waitingVisitors,
      hasRoom: (peer) => this.#room.forVisitor(peer),
      keepAliveMs: settings.keepAliveMs,
    });
    this.#pending = new PendingConnections({
      clock,
      log,
      isTrusted,
      room: this.#room,
    });
    this.#registry = new MemoryRegistry({
      graceMs: settings.leaseGraceMs,
      maxLeasesPerOwner: settings.maxLeasesPerOwner,
      initial: leases,
      onChange: (key) => store?.changed(key, this.#registry),
    });
    this.#waitingRoom = new WaitingRoom(expected, clock, (keys) => this.#tcpDoor.giveUp(keys));
    this.#ports = new TcpPorts({
      range: settings.tcpPorts,
      host: settings.tcpHost,
      reusePort: settings.reusePort,
      onVisitor: (socket, port) => this.#tcpDoor.accept(socket, port),
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
    this.#tcpDoor = new TcpDoor({
      ports: this.#ports,
      tunnels: this.#tunnels,
      visitors: this.#visitors,
      waitingRoom: this.#waitingRoom,
    });
    const replayBudget = new ReplayBudget(REPLAY_BUDGET_BYTES);
    this.#kept = new KeptLimit({budget: replayBudget, sessions: () => this.#agents.sessions(), clock, log});
    const {domain, maxTunnelsPerAgent, resumeWindowMs} = settings;
    this.#streams = new OpenedStreams({
      onStream: {[KIND.service]: services({software, domain, maxTunnelsPerAgent, resumeWindowMs})},
      unread: this.#unread,
      clock,
    });
    this.#agents = new Agents({
      domain: settings.domain,
      software,
      tunnels: this.#tunnels,
      streams: this.#streams,
      onBound: (tunnel) => {
        this.#waitingRoom.open(tunnel);
        this.#warmUp(certificates, tunnel);
      },
      pool: new BlockPool(),
      windowBudget,
      replayBudget,
      resumeWindowMs: settings.resumeWindowMs,
      maxTunnelsPerAgent: settings.maxTunnelsPerAgent,
      maxLeasesPerOwner: settings.maxLeasesPerOwner,
      keepForReplay: settings.keepForReplay,
      clock,
      log,
    });
    const site = new OwnSite({
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
      waitingRoom: this.#waitingRoom,
      pending: this.#pending,
      onOwn: site.accept,
      clock,
      log,
    });
    this.#door = createServer({allowHalfOpen: true, noDelay: true}, door.accept);
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
    this.#plain = createRedirect({
      domain: this.domain,
      publicPort: () => this.#publicPort,
      pending: this.#pending,
    });
    try {
      this.httpAddress = await listenOn(this.#plain, listenHttp, this.#settings.reusePort);
    } catch (error) {
      this.#door.close();
      throw error;
    }
  }

  #closeWatches(): void {
    this.#unread.close();
    this.#watch.close();
    this.#kept.close();
    this.#waitingVisitors.close();
  }

  /** In order: nobody new, agents learn when to come back, open visitors finish, then everything ends. */
  async #drain(timeoutMs: number): Promise<void> {
    this.#door.close();
    this.#plain?.close();
    this.#ports.closeAll();
    this.#waitingRoom.close();
    this.#certificates.close();
    // The next process expects the agents of these leases back, and owns the file from here on.
    await this.#store?.seal(this.#registry);
    this.#streams.drain();
    const {comeBackWithinMs, successors} = this.#settings;
    this.#agents.sendAway('The relay is going away.', {
      afterMs: () => Math.random() * comeBackWithinMs,
      relays: successors,
    });
    if (timeoutMs > 0) {
      const until = systemClock.now() + timeoutMs;
      await atMost(systemClock, timeoutMs, this.#visitors.idle());
      // A visitor has gone when its last bytes were taken; they may still be on their way to the agent.
      const leftMs = Math.max(0, until - systemClock.now());
      await atMost(systemClock, Math.min(leftMs, LAST_BYTES_MS), this.#agents.delivered());
    }
    // A process that ends sooner would take them with it.
    await atMost(systemClock, LAST_WORDS_MS, this.#agents.closeAll('RELAY_LOST', 'The relay went away.'));
    this.#closeWatches();
    this.#room.close();
    this.#pending.closeAll();
  }

  /** Signing the first leaf loads a good deal of code: better before the first visitor than while it waits. */
  #warmUp(certificates: CertificateSource, {key, host}: Tunnel): void {
    if (this.#warm || !key.startsWith('tls:')) return;
    this.#warm = true;
    Promise.resolve(certificates.contextFor(host)).catch(() => {});
  }
}

// A relay is a list of parts. A new subsystem is a folder and a line in this list; values that parts share are made above it.

import {createServer} from 'node:net';
import {totalmem} from 'node:os';
import {memoryOf} from '../bytes/unread-limit.js';
import {systemClock} from '../core/clock.js';
import {createLogger} from '../core/logger.js';
import {software} from '../core/software.js';
import {BlockPool} from '../mux/blocks.js';
import {NETWORK_SERVICE} from '../protocol/network-messages.js';
import {PROBE_SERVICE} from '../protocol/probe.js';
import {publicUrl} from '../protocol/targets.js';
import {KIND} from '../protocol/wire.js';
import {Access} from './access/access.js';
import {Blocked} from './access/blocked.js';
import {BlockedFile} from './access/blocked-file.js';
import {Logins} from './access/logins.js';
import {Oidc} from './access/oidc.js';
import {RefusedLogins} from './access/refused-logins.js';
import {SingleToken} from './access/single-token.js';
import {TokenRegistry} from './access/token-registry.js';
import {LocalOperations} from './admin/local-operations.js';
import {isOperated, openAdmin} from './admin/open-admin.js';
import {Agents} from './agents/agents.js';
import {KeptLimit} from './agents/kept-limit.js';
import {OpenedStreams} from './agents/opened-streams.js';
import {services} from './agents/services.js';
import {CertificateWarnings} from './certificates/certificate-warnings.js';
import {Certificates} from './certificates/certificates.js';
import {Descriptors} from './doors/descriptors.js';
import {FrontDoor} from './doors/front-door.js';
import {Listener} from './doors/listen.js';
import {Load} from './doors/load.js';
import {LocalDoors} from './doors/local-doors.js';
import type {Peer} from './doors/peer.js';
import {MOST_PENDING_BYTES, PendingConnections} from './doors/pending.js';
import {Room, SHARE_OF_MEMORY} from './doors/room.js';
import {SecureDoor} from './doors/secure-door.js';
import {TcpDoor} from './doors/tcp-door.js';
import {TrustedSources} from './doors/trusted.js';
import {VisitorWatch} from './doors/visitor-watch.js';
import {makeEgress} from './egress/make-egress.js';
import {eventsFor, loggedEvents} from './event-log.js';
import type {RelayListener} from './events.js';
import {FileLeases} from './leases/file-leases.js';
import type {LeaseStore} from './leases/lease-store.js';
import {MemoryLeases} from './leases/memory-leases.js';
import {Bandwidths} from './limits/bandwidth.js';
import {CountsTeller} from './limits/counts-of-workers.js';
import {HandshakeLimit} from './limits/handshake-limit.js';
import {LimitReports} from './limits/limit-reports.js';
import {MemoryLimits} from './limits/memory-limits.js';
import {SessionLimit} from './limits/session-limit.js';
import {UnknownNames} from './limits/unknown-names.js';
import {VisitorLimits} from './limits/visitor-limits.js';
import {PrivateNetworks} from './networks/private-networks.js';
import {Parts} from './part.js';
import {Probing} from './probe/probing.js';
import type {Reread} from './reload.js';
import {RunningRelay} from './running-relay.js';
import type {RelaySettings} from './settings.js';
import {OwnSite} from './site/own-site.js';
import {createRedirect} from './site/redirect.js';
import {TcpPorts} from './tunnels/tcp-ports.js';
import {openTunnelNames} from './tunnels/tunnel-names.js';
import {TunnelTable} from './tunnels/tunnel-table.js';
import {Visitors} from './visitors/visitors.js';
import {WaitingRoom} from './visitors/waiting-room.js';
import {WaitingVisitors} from './visitors/waiting-visitors.js';
import type {Seat} from './workers/seat.js';

export interface OpenRelayOptions {
  listeners?: readonly RelayListener[];
  /** Reads the settings for a reload. Default: they stay as they are, and only the files that they name are read. */
  reread?: () => Promise<Reread>;
  /** The place of a worker among several; the first process listens for it. */
  seat?: Seat;
}

/**
 * Resolves when the relay listens.
 *
 * @throws TunlError the error of a part that cannot start.
 */
export async function openRelay(
  settings: RelaySettings,
  {listeners = [], reread = async () => ({settings}), seat}: OpenRelayOptions = {},
): Promise<RunningRelay> {
  const clock = systemClock;
  const log = createLogger('relay', settings.log);
  const events =
    seat === undefined ? loggedEvents(settings.log, listeners) : eventsFor(settings.log, [seat.onEvent]);
  const names = await openTunnelNames(settings, {key: seat?.namesKey, log});
  const load = new Load();
  const blocked = new Blocked();
  const {domain, reusePort, resumeWindowMs, maxTunnelsPerAgent, maxLeasesPerOwner, successors} = settings;
  /** The settings after the last reload. */
  let now = settings;
  /** Nearly every part needs these. */
  const base = {domain, clock, log, events, load};

  const share = 1 / (seat?.workers ?? 1);
  const memory = new MemoryLimits({...base, settings, share});
  const {windows: windowBudget, replay: replayBudget, unread} = memory;
  const trusted = new TrustedSources(settings.trustedSources);
  const isTrusted = trusted.includes;
  const watch = new VisitorWatch({...base, idleTimeoutMs: settings.visitorIdleTimeoutMs, isTrusted});
  const room = new Room({
    ...base,
    descriptors: new Descriptors({clock, connections: () => load.connections}),
    idleBytes: () => load.idleBytes,
    mostBytes: memoryOf(totalmem()) * SHARE_OF_MEMORY * share,
    watch,
  });
  const reports = new LimitReports(base);
  const handshakes = new HandshakeLimit({settings, isTrusted, reports});
  const pending = new PendingConnections({
    ...base,
    isTrusted,
    room,
    mostHandshakes: handshakes.of,
    onHandshakesRefused: handshakes.refused,
    mostBytes: MOST_PENDING_BYTES * share,
    others: seat?.limits,
    blocks: blocked,
  });

  const listener = createServer({allowHalfOpen: true, noDelay: true});
  const door = seat?.door ?? new Listener(listener, {at: settings.listen, reusePort});
  const publicPort = () => settings.publicPort ?? door.address.port;
  const url = () => publicUrl(domain, publicPort());
  // The first process reads the same files, and says what is wrong with them.
  const certificates = new Certificates({
    ...{...settings, clock, onWarnings: () => warnings.tell()},
    ...(seat === undefined
      ? {log, events}
      : {log: createLogger('relay', undefined), events: {emit: () => {}}}),
    ticketSecret: seat?.ticketSecret,
  });

  const limits = {graceMs: settings.leaseGraceMs, maxLeasesPerOwner};
  const leases: LeaseStore =
    seat?.leases ??
    (settings.keepLeases
      ? new FileLeases({...base, ...limits, stateDir: settings.stateDir})
      : new MemoryLeases(limits));
  const ports = new TcpPorts({range: settings.tcpPorts, host: settings.tcpHost, reusePort});
  const {tcpPublicHost, h2Offered} = settings;
  const elsewhere = seat?.elsewhere;
  const probing = new Probing({...base, settings, publicPort, door, certificates, seat});
  const tunnels = new TunnelTable({
    ...base,
    publicPort,
    tcpPublicHost,
    h2Offered,
    leases,
    ports,
    elsewhere,
    blocks: blocked,
    names,
    own: probing.tunnel,
  });

  const {visitorWaitMs: waitMs, keepAliveMs} = settings;
  const warnings = new CertificateWarnings({...base, certificates, tunnels});
  const waiting = new WaitingVisitors({...base, waitMs});
  const visitorLimits = new VisitorLimits({
    ...base,
    settings,
    isTrusted,
    reports,
    counts: seat?.visitorCounts,
    own: probing.own,
  });
  const bandwidths = new Bandwidths({clock, settings, share});
  const hasRoom = (peer: Peer) => room.forVisitor(peer);
  const visitors = new Visitors({
    ...base,
    ...{unread, watch, waiting, hasRoom, keepAliveMs, limits: visitorLimits, bandwidths},
    own: probing.own,
    onCount: seat?.onCount,
  });
  const waitingRoom = new WaitingRoom({...base, leases});

  const streams = new OpenedStreams({...base, unread, reports});
  const facts = () => ({...now, software});
  const networks = new PrivateNetworks({
    ...{...base, seat, unread, bandwidths, reports, room},
    sessionOf: (id) => agents.sessionOf(id),
  });
  const pool = new BlockPool();
  const egress = makeEgress({
    ...{...base, settings, seat, pool, bandwidths, reports, room, door, publicPort, tunnels},
  });
  streams.take(
    KIND.service,
    services(
      facts,
      new Map([
        [PROBE_SERVICE, probing.service(tunnels)],
        [NETWORK_SERVICE, networks.members.service],
        ...egress.services,
      ]),
    ),
  );
  streams.take(KIND.member, networks.streams.take);
  egress.serve(streams);
  const sessions = new SessionLimit({...base, settings, reports});
  const agents = new Agents({
    ...base,
    ...{software, tunnels, streams, windowBudget, replayBudget, names, sessions},
    ...{resumeWindowMs, maxTunnelsPerAgent, maxLeasesPerOwner, successors},
    warningOf: warnings.of,
    onBound: (tunnel) => {
      waitingRoom.open(tunnel);
      seat?.onBound(tunnel.key);
      if (tunnel.key.startsWith('tls:')) certificates.warmUp(tunnel.host, tunnel.owner);
    },
    onRestricted: (tunnel) => visitors.recheck(tunnel),
    worker: seat,
    blocks: blocked,
    sessionCounts: seat?.sessionCounts,
    pool,
    keepForReplay: settings.keepForReplay,
    comeBackWithinMs: settings.comeBackWithinMs,
  });
  const kept = new KeptLimit({...base, budget: replayBudget, sessions: () => agents.sessions()});

  const stats = () => ({agents: agents.size, tunnels: tunnels.size, visitors: visitors.open});
  const oidc = new Oidc({settings, clock, events});
  const registry = settings.tokenRegistry
    ? new TokenRegistry({
        ...{stateDir: settings.stateDir, clock},
        // The first process tells about the file.
        events: seat === undefined ? events : {emit: () => {}},
        mustStart: seat === undefined,
      })
    : undefined;
  const refusedLogins = new RefusedLogins(base);
  const access = new Access([registry, oidc, new SingleToken(settings.token)], refusedLogins.note);
  access.onChanged(() => {
    agents.recheck();
    // Before the streams: its members are told why they leave.
    networks.members.recheck();
    streams.recheck();
    // Visitors of tunnels that have moved to another agent are still here.
    visitors.recheckRights();
  });
  const logins = registry && new Logins({...base, oidc, registry});
  const site = new OwnSite({
    ...{domain, url, software, access, sessions, onAgent: agents.accept, mayResume: agents.mayResume},
    abuseContact: settings.abuseContact,
    login: () => oidc.login,
    logins: () => (oidc.isNeeded ? logins : undefined),
    stats: seat?.statsOfAll ?? stats,
    onStrayed: seat?.onStrayed,
  });
  const unknownNames = new UnknownNames({...base, settings, isTrusted, reports});
  const inner = {certificates, tunnels, visitors, limits: visitorLimits, waitingRoom, unknownNames};
  const secureDoor = new SecureDoor({...base, ...inner, networks, onOwn: site.accept});
  const frontDoor = new FrontDoor({...base, pending, blocks: blocked, unknownNames, onward: secureDoor});
  listener.on('connection', frontDoor.accept);
  const localDoors = new LocalDoors({accept: (raw, only) => frontDoor.acceptFor(raw, only), log});
  const {listenHttp} = settings;
  const redirect =
    listenHttp && seat === undefined
      ? new Listener(createRedirect({domain, publicPort, pending}), {at: listenHttp, reusePort})
      : undefined;
  const tcpDoor = new TcpDoor({
    ...{ports, tunnels, visitors, waitingRoom, leases},
    own: probing.own,
    isBlocked: (peer) => pending.isBlocked(peer),
  });
  const operations = new LocalOperations({
    ...{agents, tunnels, visitors, egress, networks, pending, blocked, clock},
    worker: seat?.number,
  });
  seat?.onMade({pending, secureDoor, tcpDoor, tunnels, networks: networks.members, operations, stats});
  const blockedFile = isOperated(settings) ? new BlockedFile(blocked, settings) : undefined;
  const admin =
    blockedFile && seat === undefined
      ? await openAdmin({
          ...base,
          software,
          settings,
          operations,
          blocked: blockedFile,
          certificates,
          workers: () => [],
        })
      : undefined;

  const parts = new Parts({
    now: clock.now,
    onFailed: (error) =>
      log.error('a part of the relay did not end or reload in order', {reason: String(error)}),
    parts: [
      // The first one, so that it has the events of all others until the last one has ended.
      admin?.audit,
      blockedFile,
      {
        reload: (next) => {
          now = next;
        },
      },
      trusted,
      pending,
      room,
      waiting,
      kept,
      watch,
      memory,
      reports,
      handshakes,
      unknownNames,
      sessions,
      visitorLimits,
      seat && new CountsTeller({clock, counts: seat.visitorCounts, tell: seat.tellVisitorCounts}),
      bandwidths,
      visitors,
      egress,
      // Drained after the leases: the next process has the file before agents are told to leave.
      agents,
      streams,
      networks,
      leases,
      certificates,
      waitingRoom,
      access,
      refusedLogins,
      site,
      door,
      localDoors,
      redirect,
      tcpDoor,
      admin,
      probing.self,
      names,
      // Bound names may be reserved now.
      {reload: () => agents.recheck()},
    ],
  });
  await parts.start();
  const relay = new RunningRelay({
    ...{domain, url, door, localDoors, redirect, certificates, stats, parts, clock, events},
    ...{settings, reread, probe: () => probing.self?.state},
  });
  admin?.serves(relay);
  return relay;
}

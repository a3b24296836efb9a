// A relay with several workers, seen from its first process: the doors, and everything that has one owner.

import {createServer} from 'node:net';
import {systemClock} from '../../core/clock.js';
import {createLogger} from '../../core/logger.js';
import {software} from '../../core/software.js';
import {publicUrl} from '../../protocol/targets.js';
import {Blocked} from '../access/blocked.js';
import {BlockedFile} from '../access/blocked-file.js';
import {TokenRegistry} from '../access/token-registry.js';
import {isOperated, openAdmin} from '../admin/open-admin.js';
import {Certificates} from '../certificates/certificates.js';
import {Descriptors} from '../doors/descriptors.js';
import {FrontDoor} from '../doors/front-door.js';
import {Listener} from '../doors/listen.js';
import {Load} from '../doors/load.js';
import {PendingConnections, type SharedLimits} from '../doors/pending.js';
import {Room} from '../doors/room.js';
import {TcpDoor} from '../doors/tcp-door.js';
import {TrustedSources} from '../doors/trusted.js';
import {EgressAddresses} from '../egress/egress-addresses.js';
import {NewConnections} from '../egress/new-connections.js';
import {loggedEvents} from '../event-log.js';
import {FileLeases} from '../leases/file-leases.js';
import type {LeaseStore} from '../leases/lease-store.js';
import {MemoryLeases} from '../leases/memory-leases.js';
import {CountsOfWorkers} from '../limits/counts-of-workers.js';
import {LimitReports} from '../limits/limit-reports.js';
import {UnknownNames} from '../limits/unknown-names.js';
import {NetworkDesk} from '../networks/network-desk.js';
import {Parts} from '../part.js';
import {ProbesOfWorkers} from '../probe/probes-of-workers.js';
import type {OpenRelayOptions} from '../relay.js';
import {RunningRelay} from '../running-relay.js';
import type {RelaySettings} from '../settings.js';
import {createRedirect} from '../site/redirect.js';
import {openNamesKey} from '../tunnels/names-key.js';
import {TcpPorts} from '../tunnels/tcp-ports.js';
import {WaitingRoom} from '../visitors/waiting-room.js';
import {Crew} from './crew.js';
import {CrewOperations} from './crew-operations.js';
import {forkWorker} from './fork.js';
import {type Entry, HandOver} from './hand-over.js';
import {LeaseDesk} from './lease-desk.js';
import type {FromWorker, SharedMessage} from './messages.js';
import {PeersFolder} from './peers-folder.js';
import {SessionsOfWorkers} from './sessions-of-workers.js';
import type {WorkerProcess} from './worker-process.js';

/** Resolves when the relay listens. @throws TunlError the error of a part, or of a worker, that cannot start. */
export async function openFirstProcess(
  settings: RelaySettings,
  {listeners = [], reread = async () => ({settings})}: Omit<OpenRelayOptions, 'seat'> = {},
): Promise<RunningRelay> {
  const clock = systemClock;
  const log = createLogger('relay', settings.log);
  const events = loggedEvents(settings.log, listeners);
  const namesKey = await openNamesKey(settings, log);
  const load = new Load();
  const blocked = new Blocked();
  const {domain, reusePort, listenHttp} = settings;
  const base = {domain, clock, log, events, load};

  const room = new Room({
    ...base,
    descriptors: new Descriptors({clock, connections: () => load.connections}),
    // Visitors are in the workers.
    idleBytes: () => 0,
    mostBytes: Number.POSITIVE_INFINITY,
    watch: {makeRoom: () => false},
  });
  const others: SharedLimits = {
    spent: (limit, source, cost) => tellSpent({type: 'spent', limit, source, cost}),
    proved: (source) => crew.tellAll({type: 'proved', source}),
  };
  /** Only this process checks the limit of the first bytes, which strangers spend the fastest. */
  const tellSpent = (message: SharedMessage & {type: 'spent'}, by?: WorkerProcess) => {
    if (message.limit !== 'hello') crew.tellAll(message, by);
  };
  const trusted = new TrustedSources(settings.trustedSources);
  const isTrusted = trusted.includes;
  const pending = new PendingConnections({...base, isTrusted, room, others, blocks: blocked});
  const certificates = new Certificates({
    ...{...settings, clock, log, events},
    // The owners of tunnels are told by the workers.
    onWarnings: () => {},
  });
  const limits = {graceMs: settings.leaseGraceMs, maxLeasesPerOwner: settings.maxLeasesPerOwner};
  const leases: LeaseStore = settings.keepLeases
    ? new FileLeases({...base, ...limits, stateDir: settings.stateDir})
    : new MemoryLeases(limits);
  const waitingRoom = new WaitingRoom<Entry>({...base, leases});
  const ports = new TcpPorts({range: settings.tcpPorts, host: settings.tcpHost, reusePort});
  const desk = new LeaseDesk<WorkerProcess>({
    leases,
    clock,
    isExpected: (key) => waitingRoom.expects(key),
    letGo: (key) => tcpDoor.letGo([key]),
  });
  const sessions = new SessionsOfWorkers<WorkerProcess>();
  const visitorCounts = new CountsOfWorkers<WorkerProcess>(clock, () => {
    for (const worker of crew.workers)
      worker.tell({type: 'visitors-elsewhere', counts: visitorCounts.besides(worker)});
  });
  const probes = new ProbesOfWorkers<WorkerProcess>(base);
  const networks = new NetworkDesk<WorkerProcess>(clock);
  const newEgress = new NewConnections({settings, clock});
  const peersFolder = new PeersFolder(log);

  const onMessage = (message: FromWorker, worker: WorkerProcess): void => {
    switch (message.type) {
      case 'log': {
        const {record} = message;
        settings.log?.({...record, fields: {...record.fields, worker: worker.number}});
        return;
      }
      case 'event':
        events.emit(message.event, worker.number);
        return;
      case 'probe':
        probes.set(worker, message.state);
        return;
      case 'member-left':
        networks.leave(message.member);
        return;
      case 'member-state':
        networks.tell(message.member, message.state);
        return;
      case 'network-watched':
        if (message.isWatched) networks.watch(worker, message.network);
        else networks.unwatch(worker, message.network);
        return;
      case 'bound':
        if (desk.holderOf(message.key) === worker) waitingRoom.open({key: message.key, worker});
        return;
      case 'strayed':
        crew.stray(message.source, message.worker);
        return;
      case 'spent':
        pending.spentElsewhere(message.limit, message.source, message.cost);
        tellSpent(message, worker);
        return;
      case 'noted':
        pending.noteElsewhere(message.what, message.address);
        return;
      case 'proved':
        pending.provedElsewhere(message.source);
        crew.tellAll(message, worker);
        return;
      case 'visitor-counts':
        visitorCounts.set(worker, message.counts);
        return;
      case 'sessions':
        sessions.set(worker, message.owner, message.count);
        tellSessions([message.owner]);
        return;
      default:
    }
  };
  const tellSessionsTo = (worker: WorkerProcess, owners: readonly string[]) => {
    if (owners.length === 0) return;
    const counts = owners.map((owner) => [owner, sessions.besides(worker, owner)] as const);
    worker.tell({type: 'elsewhere', counts});
  };
  const tellSessions = (owners: readonly string[]) => {
    for (const worker of crew.workers) tellSessionsTo(worker, owners);
  };
  const crew: Crew = new Crew({
    ...{settings, clock, log, events, onMessage, namesKey, peersFolder},
    fork: forkWorker,
    answersFor: (worker) => ({
      claim: ({key, owner, claimant}) => desk.claim(worker, key, owner, claimant),
      release: ({key, epoch}) => desk.release(key, epoch),
      ownerOf: ({key}) => desk.ownerOf(key),
      freePorts: ({ports}) => desk.freePorts(ports),
      inUse: ({key}) => desk.isInUseElsewhere(key, worker),
      holds: ({key}) => Promise.resolve(desk.isElsewhere(key, worker)),
      stats: () => crew.askStats(),
      takeEgress: async ({owner}) => newEgress.take(owner),
      checkMember: async (asked) => networks.check(asked),
      joinMember: async (asked) => networks.join(worker, asked),
      findMember: async ({network, name}) => {
        const found = networks.find(network, name);
        return found && {member: found.member, worker: found.holder.number};
      },
    }),
    onUp: (worker) => tellSessionsTo(worker, sessions.owners),
    onLost: (worker) => {
      operations.left(worker);
      networks.left(worker);
      peersFolder.left(worker.number);
      const keys = desk.left(worker);
      waitingRoom.expect(keys);
      void tcpDoor.expect(keys);
      tellSessions(sessions.left(worker));
      visitorCounts.left(worker);
      probes.left(worker);
    },
  });
  const operations = new CrewOperations({crew, pending, networks});
  const reports = new LimitReports(base);
  const unknownNames = new UnknownNames({...base, settings, isTrusted, reports});
  const handOver = new HandOver({
    workerForOwn: (alpn, source) => crew.forOwn(alpn, source),
    workerNumbered: (worker) => crew.numbered(worker),
    workerOf: (key) => desk.holderOf(key),
    waitingRoom,
    unknownNames,
    log,
  });
  const tcpDoor: TcpDoor<Entry> = new TcpDoor<Entry>({
    ...{ports, waitingRoom, leases},
    isBlocked: (peer) => pending.isBlocked(peer),
    // Ports with a tunnel are open in the worker of the tunnel.
    tunnels: {ofPort: () => undefined},
    visitors: {welcome: handOver.welcome},
  });

  const listener = createServer({allowHalfOpen: true, noDelay: true});
  const door = new Listener(listener, {at: settings.listen, reusePort});
  const publicPort = () => settings.publicPort ?? door.address.port;
  const frontDoor = new FrontDoor({...base, pending, blocks: blocked, unknownNames, onward: handOver});
  listener.on('connection', frontDoor.accept);
  const redirect =
    listenHttp && new Listener(createRedirect({domain, publicPort, pending}), {at: listenHttp, reusePort});

  const blockedFile = isOperated(settings) ? new BlockedFile(blocked, settings) : undefined;
  const admin = blockedFile
    ? await openAdmin({
        ...{...base, software, settings, operations, blocked: blockedFile, certificates},
        workers: () => [...crew.workers].map(({number}) => number),
      })
    : undefined;
  // Only for its events: the workers check tokens.
  const registry = settings.tokenRegistry
    ? new TokenRegistry({stateDir: settings.stateDir, clock, events})
    : undefined;

  const parts = new Parts({
    now: clock.now,
    onFailed: (error) =>
      log.error('a part of the relay did not end or reload in order', {reason: String(error)}),
    parts: [
      // The first one, so that it has the events of all others until the last one has ended.
      admin?.audit,
      blockedFile,
      trusted,
      reports,
      unknownNames,
      pending,
      room,
      // Drained after the leases: the next process has the file before agents are told to leave.
      // This process says in the log that the files of a reload were read, so the workers read them first.
      visitorCounts,
      new EgressAddresses({...base, settings}),
      newEgress,
      networks,
      peersFolder,
      crew,
      leases,
      certificates,
      registry,
      waitingRoom,
      // Workers read the files that the certificates have made.
      {start: () => crew.muster()},
      door,
      {start: () => crew.tellDoor(door.address)},
      redirect,
      tcpDoor,
      admin,
    ],
  });
  await parts.start();
  const relay = new RunningRelay({
    ...{domain, door, redirect, certificates, parts, clock, events, settings, reread},
    url: () => publicUrl(domain, publicPort()),
    localDoors: undefined,
    stats: () => crew.stats,
    probe: () => probes.state,
  });
  admin?.serves(relay);
  return relay;
}

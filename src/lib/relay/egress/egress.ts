// Egress at the relay: takes streams of the kinds `egress` and `datagram`, and connects each with its destination from an address
// of its set.

import {SocketReads} from '../../bytes/socket-reads.js';
import {atMost} from '../../core/clock.js';
import {Moment} from '../../core/moment.js';
import type {Stream} from '../../mux/stream.js';
import {KeepAlive} from '../../net/keep-alive.js';
import {Resolver} from '../../net/name-lookup.js';
import {type EgressOpen, parseDatagramOpen, parseEgressOpen} from '../../protocol/egress-messages.js';
import {KIND} from '../../protocol/wire.js';
import {type EgressStatus, mostFirst} from '../admin/report.js';
import type {OpenedStreams, Opener, ScopeOfStream, StreamBounds} from '../agents/opened-streams.js';
import {VisitorCounts} from '../limits/visitor-counts.js';
import type {Part} from '../part.js';
import {DATAGRAM_BOUNDS, Datagrams, datagramScope} from './datagrams.js';
import {EgressConnection} from './egress-connection.js';
import {EgressLimits} from './egress-limits.js';
import type {EgressOptions, EgressSettings} from './egress-options.js';
import {egressServices} from './egress-services.js';
import {type EgressSet, readEgressSets} from './egress-set.js';
import {Guard} from './guard.js';
import {LocalPorts} from './local-ports.js';
import {LookUps} from './look-ups.js';
import {NewConnections} from './new-connections.js';
import {PublicAddresses} from './public-addresses.js';
import {SourceHealth} from './source-health.js';
import {Sources} from './sources.js';

const DIAL_TIMEOUT_MS = 10_000;
/** For all owners together. */
const MANY_LOOK_UPS = {atOnce: 64, waiting: 1_024};

export class Egress implements Part {
  readonly #options: EgressOptions;
  #settings: EgressSettings;
  #sets: ReadonlyMap<string, EgressSet> = new Map();
  readonly #health: SourceHealth;
  readonly #guard: Guard;
  readonly #lookUps: LookUps;
  readonly #public: PublicAddresses;
  readonly #ports: LocalPorts;
  readonly #reads: SocketReads;
  #keepAlive: KeepAlive;
  readonly #open = new Set<EgressConnection>();
  readonly #limits: EgressLimits;
  readonly #ownNew: NewConnections;
  readonly #sources: Sources;
  readonly #datagrams: Datagrams;
  readonly #idle = new Moment();
  readonly #sums = {connections: 0, bytesIn: 0, bytesOut: 0};

  constructor(options: EgressOptions) {
    const {settings, clock, events, log, load, domain, own, ownAddresses} = options;
    const now = () => clock.now();
    this.#options = options;
    this.#settings = settings;
    this.#health = new SourceHealth({
      clock,
      // The first process watches the same addresses, and tells.
      events: options.mustStart === false ? {emit: () => {}} : events,
      ...(options.tryBind !== undefined && {tryBind: options.tryBind}),
    });
    const resolver = options.resolver ?? new Resolver(undefined, MANY_LOOK_UPS);
    this.#lookUps = new LookUps(resolver);
    this.#public = new PublicAddresses({domain, resolver, clock});
    this.#guard = new Guard({
      publicAddresses: this.#public,
      rules: rulesOf(settings),
      domain,
      isDoor: own.isDoor,
      now,
      ownAddresses,
      log,
    });
    this.#sources = new Sources((address) => this.#health.isHealthy(address));
    this.#ownNew = new NewConnections({settings, clock});
    const {counts = new VisitorCounts(), newConnections = this.#ownNew, reports, isFull} = options;
    const mostOfOwner = () => this.#settings.maxEgressPerOwner;
    this.#limits = new EgressLimits({counts, newConnections, reports, isFull, mostOfOwner});
    const [first, last] = settings.egressPorts;
    this.#ports = new LocalPorts({first, last, now});
    this.#reads = new SocketReads(options.pool);
    this.#keepAlive = new KeepAlive(settings.keepAliveMs);
    this.#datagrams = new Datagrams({clock, ports: this.#ports});
    load.add({connections: () => this.#open.size + this.#datagrams.open.size});
  }

  /** Checks that each address can be bound. @throws TunlError EGRESS_ADDRESS */
  async start(): Promise<void> {
    const sets = readEgressSets(this.#settings.egress);
    if (this.#options.mustStart ?? true) await this.#health.check(sets);
    this.#take(sets);
    if (sets.length > 0) await this.#public.start();
    if (this.#options.mustStart === false) await this.#health.look();
  }

  async checkReload({egress}: Pick<EgressSettings, 'egress'>): Promise<void> {
    await this.#health.check(readEgressSets(egress));
  }

  /** Connections that the new settings do not allow are reset. */
  reload(settings: EgressSettings): void {
    if (settings.keepAliveMs !== this.#settings.keepAliveMs)
      this.#keepAlive = new KeepAlive(settings.keepAliveMs);
    this.#settings = settings;
    this.#ownNew.reload(settings);
    this.#guard.setRules(rulesOf(settings));
    this.#ports.setRange(...settings.egressPorts);
    this.#take(readEgressSets(settings.egress));
    for (const connection of [...this.#open]) connection.recheck(this.#sets.get(connection.egress));
    this.#datagrams.recheck((name) => (settings.egressUdp ? this.#sets.get(name) : undefined));
  }

  /** Open connections may finish. Flows of datagrams have no end to wait for. */
  async drain(until: number): Promise<void> {
    const {clock} = this.#options;
    const leftMs = until - clock.now();
    if (leftMs > 0 && this.#open.size > 0) await atMost(clock, leftMs, this.#idle.next());
  }

  close(): void {
    this.#health.close();
    this.#datagrams.close();
  }

  /** Connections, and flows of datagrams. */
  get open(): number {
    return this.#open.size + this.#datagrams.open.size;
  }

  /** Sums of all connections so far; of open ones the bytes until now. `bytesIn`: from destinations. */
  get totals(): {connections: number; bytesIn: number; bytesOut: number} {
    const sum = {...this.#sums};
    const streams = [...this.#open, ...this.#datagrams.open].map(({stream}) => stream);
    for (const stream of streams) {
      // The stream is seen from the relay: it sends what comes from the destination.
      sum.bytesIn += stream.bytesOut;
      sum.bytesOut += stream.bytesIn;
    }
    return sum;
  }

  /** For the operator. */
  get status(): EgressStatus[] {
    return [...this.#sets.values()].map(({name, addresses}) => {
      const open = [...this.#open, ...this.#datagrams.open].filter(({egress}) => egress === name);
      const byOwner = Map.groupBy(open, ({owner}) => owner);
      return {
        egress: name,
        addresses: addresses.map((address) => ({address, healthy: this.#health.isHealthy(address)})),
        connections: open.length,
        owners: mostFirst([...byOwner].map(([owner, theirs]) => ({owner, connections: theirs.length}))),
      };
    });
  }

  /** From now on it takes streams of the kinds `egress` and `datagram`. */
  serve(streams: Pick<OpenedStreams, 'take'>): void {
    streams.take(KIND.datagram, this.#acceptDatagrams, datagramScope, DATAGRAM_BOUNDS);
    streams.take(KIND.egress, this.#accept, egressScope, EGRESS_BOUNDS);
  }

  readonly #accept = (stream: Stream, about: Buffer, opener: Opener): void => {
    const asked = parseEgressOpen(about);
    const admitted = this.#admit(stream, asked, opener);
    if (admitted !== undefined) this.#begin(asked, admitted);
  };

  readonly #acceptDatagrams = (stream: Stream, about: Buffer, opener: Opener): void => {
    const asked = parseDatagramOpen(about);
    if (!this.#settings.egressUdp) {
      stream.refuse('EGRESS_FORBIDDEN', 'This relay carries no UDP.');
      return;
    }
    const admitted = this.#admit(stream, asked, opener);
    if (admitted !== undefined) this.#datagrams.begin({asked, ...this.#common(asked, admitted)});
  };

  /** Undefined: the stream was refused. */
  #admit(stream: Stream, {egress}: EgressOpen, opener: Opener): Admitted | undefined {
    const set = this.#sets.get(egress);
    if (set === undefined) {
      stream.refuse('EGRESS_UNKNOWN', `This relay has no egress ${egress}.`);
      return undefined;
    }
    const admission = this.#limits.admit(opener.principal.owner);
    if ('turn' in admission) return {stream, set, opener, turn: admission.turn};
    stream.refuse('TOO_MANY_STREAMS', admission.refusal);
    return undefined;
  }

  /** The services for agents, by name. */
  get services(): ReturnType<typeof egressServices> {
    return egressServices({
      sets: () => this.#sets.values(),
      isHealthy: (address) => this.#health.isHealthy(address),
      guard: this.#guard,
      lookUps: this.#lookUps,
    });
  }

  #begin(asked: EgressOpen, admitted: Admitted): void {
    const {clock, dialTimeoutMs = DIAL_TIMEOUT_MS} = this.#options;
    const common = this.#common(asked, admitted);
    const connection = new EgressConnection({
      ...{...common, asked, clock},
      ports: this.#ports,
      reads: this.#reads,
      keepAlive: this.#keepAlive,
      timeoutMs: dialTimeoutMs,
      onOver: () => {
        this.#open.delete(connection);
        common.onOver();
        if (this.#open.size === 0) this.#idle.happen();
      },
    });
    this.#open.add(connection);
    void connection.run();
  }

  /** The options that connections and flows have in common. Counts one more of the owner until `onOver`. */
  #common(asked: EgressOpen, {stream, set, opener, turn}: Admitted) {
    const {owner, tokenId} = opener.principal;
    const {events, bandwidths, own} = this.#options;
    const leave = this.#limits.enter(owner);
    // A reload may change the set while the destination is looked up and dialled.
    const setNow = () => this.#sets.get(set.name);
    return {
      ...{stream, opener, events, set, setNow, turn},
      guard: this.#guard,
      isTunnelPort: own.isTunnel,
      lookUp: (name: string) => this.#lookUps.find(owner, name),
      bandwidth: bandwidths.of({principal: opener.principal}),
      sourceFor: (family: 4 | 6) => this.#sources.choose(setNow(), family, asked, tokenId ?? owner),
      onSourceLost: (source: string, code: string) => this.#health.lost(source, code),
      onSource: (source: string, change: 1 | -1) => this.#sources.count(source, change),
      onOpened: () => {
        this.#sums.connections += 1;
      },
      onOver: () => {
        leave();
        this.#sums.bytesIn += stream.bytesOut;
        this.#sums.bytesOut += stream.bytesIn;
      },
    };
  }

  #take(sets: readonly EgressSet[]): void {
    this.#sets = new Map(sets.map((each) => [each.name, each]));
    this.#health.watch(sets);
  }
}

interface Admitted {
  stream: Stream;
  set: EgressSet;
  opener: Opener;
  /** Another process counts new connections. Resolves with the reason for a refusal. */
  turn: Promise<string | undefined> | undefined;
}

function rulesOf({egressAllowPrivate, egressMail}: EgressSettings) {
  return {allowPrivate: egressAllowPrivate, mail: egressMail};
}

/** A program may open thousands of connections, and they are shorter than visits. The owner has limits, too. */
const EGRESS_BOUNDS: StreamBounds = {most: 16_384, burst: 10_000, perSecond: 1_000};

/** The scope that a stream needs. */
const egressScope: ScopeOfStream = (about) => {
  const {egress, host, port} = parseEgressOpen(about);
  return ['egress', egress, {host, port}];
};

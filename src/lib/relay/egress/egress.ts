// Egress at the relay: takes streams of kind `egress`, and connects each with its destination from an address of its set.

import {SocketReads} from '../../bytes/socket-reads.js';
import {atMost, type Clock} from '../../core/clock.js';
import {Moment} from '../../core/moment.js';
import type {BlockPool} from '../../mux/blocks.js';
import type {Stream} from '../../mux/stream.js';
import {KeepAlive} from '../../net/keep-alive.js';
import {Resolver} from '../../net/name-lookup.js';
import {type EgressOpen, parseEgressOpen} from '../../protocol/egress-messages.js';
import {KIND} from '../../protocol/wire.js';
import type {OpenedStreams, Opener, ScopeOfStream, StreamBounds} from '../agents/opened-streams.js';
import type {Load} from '../doors/load.js';
import type {RelayEvents} from '../events.js';
import type {Bandwidths} from '../limits/bandwidth.js';
import {Counts} from '../limits/counts.js';
import type {LimitReports} from '../limits/limit-reports.js';
import {VisitorCounts} from '../limits/visitor-counts.js';
import type {Part} from '../part.js';
import type {RelaySettings} from '../settings.js';
import {leastUsedSource, steadySource} from './choose-source.js';
import {EgressConnection} from './egress-connection.js';
import {egressServices} from './egress-services.js';
import {type EgressSet, familyOf, readEgressSets} from './egress-set.js';
import {Guard} from './guard.js';
import {LocalPorts} from './local-ports.js';
import {LookUps} from './look-ups.js';
import {NewConnections} from './new-connections.js';
import type {OwnPorts} from './own-ports.js';
import {PublicAddresses} from './public-addresses.js';
import {SourceHealth, type TryBind} from './source-health.js';

const DIAL_TIMEOUT_MS = 10_000;
/** For all owners together. */
const MANY_LOOK_UPS = {atOnce: 64, waiting: 1_024};

export type EgressSettings = Pick<
  RelaySettings,
  | 'egress'
  | 'egressAllowPrivate'
  | 'egressMail'
  | 'egressPorts'
  | 'maxEgressPerOwner'
  | 'egressPerSecondPerOwner'
  | 'keepAliveMs'
>;

export interface EgressOptions {
  settings: EgressSettings;
  domain: string;
  own: OwnPorts;
  pool: BlockPool;
  bandwidths: Pick<Bandwidths, 'of'>;
  reports: Pick<LimitReports, 'note'>;
  load: Pick<Load, 'add'>;
  events: Pick<RelayEvents, 'emit'>;
  clock: Clock;
  /** The connections of the owners in all processes of this relay. Default: this one is alone. */
  counts?: VisitorCounts | undefined;
  /** Counts new connections of owners in all processes of this relay. Default: this one is alone. */
  newConnections?: {take(owner: string): number | Promise<number>} | undefined;
  /** True when connections would take the descriptors that others need. */
  isFull?: () => boolean;
  /**
   * False: an address that is not of this machine is unhealthy, and no reason not to start. A worker that takes another one's
   * place must serve. Default true.
   */
  mustStart?: boolean;
  /** For tests: a DNS, a system and times of their own. */
  resolver?: Pick<Resolver, 'find'>;
  tryBind?: TryBind;
  ownAddresses?: () => readonly string[];
  dialTimeoutMs?: number;
}

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
  readonly #counts: VisitorCounts;
  readonly #ofSource = new Counts();
  readonly #ownNew: NewConnections;
  #turn = 0;
  readonly #idle = new Moment();
  readonly #sums = {connections: 0, bytesIn: 0, bytesOut: 0};

  constructor(options: EgressOptions) {
    const {settings, clock, events, load, domain, own, ownAddresses} = options;
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
    });
    this.#counts = options.counts ?? new VisitorCounts();
    const [first, last] = settings.egressPorts;
    this.#ports = new LocalPorts({first, last, now});
    this.#reads = new SocketReads(options.pool);
    this.#keepAlive = new KeepAlive(settings.keepAliveMs);
    this.#ownNew = new NewConnections({settings, clock});
    load.add({connections: () => this.#open.size});
  }

  /** Checks that each address can be bound. @throws TunlError EGRESS_ADDRESS */
  async start(): Promise<void> {
    const sets = readEgressSets(this.#settings.egress);
    if (this.#options.mustStart ?? true) await this.#health.check(sets);
    this.#take(sets);
    if (sets.length > 0) await this.#public.start();
    if (this.#options.mustStart === false) await this.#health.look();
  }

  async checkReload({egress}: Pick<RelaySettings, 'egress'>): Promise<void> {
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
  }

  /** Open connections may finish. */
  async drain(until: number): Promise<void> {
    const {clock} = this.#options;
    const leftMs = until - clock.now();
    if (leftMs > 0 && this.#open.size > 0) await atMost(clock, leftMs, this.#idle.next());
  }

  close(): void {
    this.#health.close();
  }

  get open(): number {
    return this.#open.size;
  }

  /** Sums of all connections so far; of open ones the bytes until now. `bytesIn`: from destinations. */
  get totals(): {connections: number; bytesIn: number; bytesOut: number} {
    const sum = {...this.#sums};
    for (const {stream} of this.#open) {
      // The stream is seen from the relay: it sends what comes from the destination.
      sum.bytesIn += stream.bytesOut;
      sum.bytesOut += stream.bytesIn;
    }
    return sum;
  }

  /** From now on it takes streams of kind `egress`. */
  serve(streams: Pick<OpenedStreams, 'take'>): void {
    streams.take(KIND.egress, this.#accept, egressScope, EGRESS_BOUNDS);
  }

  readonly #accept = (stream: Stream, about: Buffer, opener: Opener): void => {
    const asked = parseEgressOpen(about);
    const set = this.#sets.get(asked.egress);
    if (set === undefined) {
      stream.refuse('EGRESS_UNKNOWN', `This relay has no egress ${asked.egress}.`);
      return;
    }
    const limit = this.#overLimit(opener);
    if (limit !== undefined) {
      stream.refuse('TOO_MANY_STREAMS', limit);
      return;
    }
    const {owner} = opener.principal;
    const waitMs = (this.#options.newConnections ?? this.#ownNew).take(owner);
    const refusal = typeof waitMs === 'number' ? this.#tooOften(owner, waitMs) : undefined;
    if (refusal !== undefined) {
      stream.refuse('TOO_MANY_STREAMS', refusal);
      return;
    }
    const turn = typeof waitMs === 'number' ? undefined : waitMs.then((told) => this.#tooOften(owner, told));
    this.#begin(stream, {asked, set, opener, turn});
  };

  /** The services for agents, by name. */
  get services(): ReturnType<typeof egressServices> {
    return egressServices({
      sets: () => this.#sets.values(),
      isHealthy: (address) => this.#health.isHealthy(address),
      guard: this.#guard,
      lookUps: this.#lookUps,
    });
  }

  #begin(stream: Stream, {asked, set, opener, turn}: Begun): void {
    const {owner, tokenId} = opener.principal;
    const {clock, events, bandwidths, own, dialTimeoutMs = DIAL_TIMEOUT_MS} = this.#options;
    const count = this.#counts.enter('egress', owner);
    const connection = new EgressConnection({
      ...{stream, asked, opener, clock, events, set, turn},
      guard: this.#guard,
      isTunnelPort: own.isTunnel,
      lookUp: (name) => this.#lookUps.find(owner, name),
      ports: this.#ports,
      reads: this.#reads,
      keepAlive: this.#keepAlive,
      bandwidth: bandwidths.of({principal: opener.principal}),
      timeoutMs: dialTimeoutMs,
      sourceFor: (family) => this.#sourceFor(set, family, asked, tokenId ?? owner),
      onSourceLost: (source, code) => this.#health.lost(source, code),
      onSource: (source, change) => this.#ofSource.add(source, change),
      onOpened: () => {
        this.#sums.connections += 1;
      },
      onOver: () => {
        this.#open.delete(connection);
        this.#counts.leave(count);
        this.#sums.bytesIn += stream.bytesOut;
        this.#sums.bytesOut += stream.bytesIn;
        if (this.#open.size === 0) this.#idle.happen();
      },
    });
    this.#open.add(connection);
    void connection.run();
  }

  #sourceFor(
    {name, addresses}: EgressSet,
    family: 4 | 6,
    {spread, host}: EgressOpen,
    who: string,
  ): string | undefined {
    const usable = addresses.filter((each) => familyOf(each) === family && this.#health.isHealthy(each));
    if (!spread) return steadySource(usable, {egress: name, who, host});
    this.#turn += 1;
    return leastUsedSource(usable, (address) => this.#ofSource.of(address), this.#turn);
  }

  /** Why this owner may have no further connection now. */
  #overLimit({principal: {owner}}: Opener): string | undefined {
    const {reports} = this.#options;
    const most = this.#settings.maxEgressPerOwner;
    if (this.#options.isFull?.()) return 'The relay has no room for another connection now.';
    if (this.#counts.of('egress', owner) >= most) {
      reports.note('egress', 'owner', owner);
      return `The owner may have ${most} connections by egress at once.`;
    }
    return undefined;
  }

  /** Undefined: it is its turn. */
  #tooOften(owner: string, waitMs: number): string | undefined {
    if (waitMs <= 0) return undefined;
    this.#options.reports.note('new-egress', 'owner', owner);
    return `Too many connections in a row; the next in ${Math.ceil(waitMs / 1_000)} s.`;
  }

  #take(sets: readonly EgressSet[]): void {
    this.#sets = new Map(sets.map((each) => [each.name, each]));
    this.#health.watch(sets);
  }
}

interface Begun {
  asked: EgressOpen;
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

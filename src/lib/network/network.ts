// The library's private network: this process as a member, its connections, ports and tunnels.

import {hostname} from 'node:os';
import type {Duplex} from 'node:stream';
import type {LinkEvent} from '../agent/events.js';
import type {ForwardOptions, Tunnel} from '../agent/options.js';
import {TunlError} from '../core/errors.js';
import type {LogSink} from '../core/logger.js';
import {randomBytes} from '../core/node-crypto.js';
import {type Closable, Owned} from '../core/owned.js';
import {usableState} from '../core/usable-state.js';
import {type ConnectionOptions, openLink, type RelayLink} from '../open-link.js';
import type {SealedExit} from '../seal/run-sealed.js';
import {readInRule} from './allow-in.js';
import type {DirectOptions} from './direct-door.js';
import {type ForwardedMember, forwardMember} from './forward.js';
import {exposeMember} from './gateway.js';
import type {MemberRunOptions} from './library-run.js';
import type {Member} from './member.js';
import {joinNetwork, type Membership} from './membership.js';
import {checkNames} from './network-names.js';
import {readServedPort, ServedPorts} from './serve.js';
import {readMemberPort} from './target.js';

export interface NetworkOptions extends ConnectionOptions {
  /**
   * The name of this member, one for each process. Its key is kept in the state folder, so it has the same address each time.
   * Default: a guest, which has a name and an address for this time, and takes no connections.
   */
  name?: string;
  /** A member whose key, and with it its address, is for this time. Default false. */
  ephemeral?: boolean;
  /** Ports of this machine that other members can connect to: `8000`, `'8000:3000'`, `'8000:db.corp:5432'`. */
  serve?: readonly (number | string)[];
  /** Takes only these connections: from a member, to a port, or both: `trainer`, `8000`, `trainer:8000`. Default: all. */
  allowIn?: readonly string[];
  /**
   * Also take connections of members at a TCP port of all addresses of this machine, or of the given one. Members prove their
   * keys there as elsewhere. Default false: they come through the relay, or on this machine.
   */
  direct?: boolean | DirectOptions;
  /**
   * Leave out TLS between two members if both say so. The relay can then read and change what they send. Default false.
   */
  trustRelay?: boolean;
  /** Before it is a member `network` rejects with ABORTED, later it ends like `close()`. */
  signal?: AbortSignal;
  /** Must not throw. */
  onEvent?: (event: NetworkEvent) => void;
  log?: LogSink;
}

/** The members have changed. */
export interface MembersEvent {
  type: 'members';
  members: readonly Member[];
}

/** A connection to a port of `forward` was not made. */
export interface MemberFailedEvent {
  type: 'member-failed';
  /** `name:port`. */
  to: string;
  code: TunlError['code'];
  reason: string;
  next: string;
}

export type NetworkEvent = LinkEvent | MembersEvent | MemberFailedEvent;

/** This process as a member of a private network. Ends with `close()`, its AbortSignal, or the scope of `await using`. */
export interface Network extends AsyncDisposable {
  readonly network: string;
  /** The address of this member. */
  readonly name: string;
  readonly address: string;
  /** The prefix of the network: `fdaa:5137:3ebf::/48`. */
  readonly prefix: string;
  /** The relay's URL. */
  readonly relay: string;
  /** The TCP port of `direct`. */
  readonly directPort: number | undefined;
  /** All members, this one among them. */
  readonly members: readonly Member[];
  /** Settles when it has ended; rejects with the TunlError that ended it for good. */
  readonly closed: Promise<void>;
  /**
   * A connection to a member, by its name or address. Half-closes pass through. It outlives a lost path, and a relay that starts
   * again. Rejects with MEMBER_UNKNOWN, MEMBER_UNPROVEN, MEMBER_UNREACHABLE, UPSTREAM_REFUSED, NOT_ALLOWED.
   */
  connect(to: {name: string; port: number; signal?: AbortSignal}): Promise<Duplex>;
  /** Other members can connect to this port as well, as in `serve` of the options. Returns a function that ends it. */
  serve(port: number | string): () => void;
  /** A port of this machine that leads to `NAME:PORT`. */
  forward(to: string, options?: {listen?: string}): Promise<ForwardedMember>;
  /** A public tunnel in front of `NAME:PORT`, at the same relay if the options name no other. */
  expose(to: string, options?: ForwardOptions): Promise<Tunnel>;
  /**
   * Runs a command as `tunl net run` does: as a member of its own in this network, in a sealed network with an address of its
   * own. Linux only. `close()` ends it: it gets SIGTERM, and SIGKILL 10 s later. Resolves at its end; rejects with
   * SEAL_UNAVAILABLE, SEAL_LOST, PROGRAM_MISSING, FOLDER_MISSING, EGRESS_UNKNOWN, ABORTED, or as `network`.
   */
  run(argv: readonly string[], options?: MemberRunOptions): Promise<SealedExit>;
  /** Tells all members something, which they see in `state` of this member. */
  setState(state: object): void;
  /** Connections are reset, ports are closed. Idempotent. */
  close(): Promise<void>;
}

/** The name of a guest, for people who read the list of members. */
export function guestName(): string {
  const host = /^[a-z0-9-]{1,40}/.exec(hostname().toLowerCase())?.[0].replace(/^-+|-+$/g, '');
  return `${host || 'guest'}-${randomBytes(3).toString('hex')}`;
}

/** As `network` of the library. */
export async function openNetwork(network: string, options: NetworkOptions = {}): Promise<Network> {
  const {name, ephemeral = false, serve = [], allowIn = [], direct, trustRelay, ...more} = options;
  const {signal, log, onEvent = () => {}, ...connection} = more;
  checkNames(network, name);
  const ports = new ServedPorts(allowIn.map(readInRule));
  for (const each of serve) ports.add(readServedPort(String(each)));
  if (name === undefined && serve.length > 0) {
    throw new TunlError('OPTION_INVALID', {
      reason: 'A member that serves ports needs a name.',
      next: 'Add {name}.',
    });
  }
  const link = await openLink({...connection, signal, onEvent, log, features: ['member']});
  try {
    const stateDir = connection.stateDir ?? usableState().path;
    const membership = await joinNetwork({
      link,
      network,
      name: name ?? guestName(),
      key: name === undefined || ephemeral ? 'ephemeral' : {stateDir},
      ...(name !== undefined && {accept: ports.accept}),
      direct,
      trustRelay,
      signal,
      log,
    });
    return new OpenNetwork(membership, {link, ports, onEvent, connection, log});
  } catch (error) {
    await link.close();
    throw error;
  }
}

interface About {
  link: RelayLink;
  ports: ServedPorts;
  onEvent: (event: NetworkEvent) => void;
  connection: ConnectionOptions;
  log: LogSink | undefined;
}

class OpenNetwork implements Network {
  readonly closed: Promise<void>;
  readonly #membership: Membership;
  readonly #about: About;
  readonly #owned = new Owned<Closable>();

  constructor(membership: Membership, about: About) {
    this.#membership = membership;
    this.#about = about;
    const {onEvent, link} = about;
    membership.onMembers((members) => onEvent({type: 'members', members}));
    this.closed = membership.ended.then(async (error) => {
      await this.#owned.close();
      await link.close();
      if (error !== undefined && error.code !== 'ABORTED' && error.code !== 'CLOSED') throw error;
    });
    this.closed.catch(() => {});
  }

  get network(): string {
    return this.#membership.network;
  }

  get name(): string {
    return this.#membership.name;
  }

  get address(): string {
    return this.#membership.address;
  }

  get prefix(): string {
    return this.#membership.prefix;
  }

  get relay(): string {
    return this.#about.link.relay.url;
  }

  get directPort(): number | undefined {
    return this.#membership.directPort;
  }

  get members(): readonly Member[] {
    return this.#membership.members;
  }

  async connect({
    name: to,
    port,
    signal,
  }: {
    name: string;
    port: number;
    signal?: AbortSignal;
  }): Promise<Duplex> {
    return await this.#membership.connect({to, port, signal});
  }

  serve(written: number | string): () => void {
    const served = readServedPort(String(written));
    this.#about.ports.add(served);
    return () => this.#about.ports.delete(served.port);
  }

  async forward(to: string, {listen}: {listen?: string} = {}): Promise<ForwardedMember> {
    const onFailed = ({code, message: reason, next}: TunlError) =>
      this.#about.onEvent({type: 'member-failed', to, code, reason, next});
    const options = {to: readMemberPort(to), listen, onFailed};
    return await this.#owned.open(() => forwardMember(this.#membership, options));
  }

  async expose(to: string, options: ForwardOptions = {}): Promise<Tunnel> {
    const isElsewhere = options.relay !== undefined || options.context !== undefined;
    const all = isElsewhere ? options : {...this.#about.connection, ...options};
    const port = readMemberPort(to);
    return await this.#owned.open(() => exposeMember(this.#membership, port, all));
  }

  async run(argv: readonly string[], options: MemberRunOptions = {}): Promise<SealedExit> {
    this.#owned.check();
    // The same key would take over the membership of this process.
    if (options.name === this.name)
      throw new TunlError('MEMBER_NAME_USED', {
        reason: `This process is the member ${this.name} itself.`,
        next: 'Give the command another name, or none.',
      });
    // Imported here because a member by itself needs no seal.
    const {runAsMember} = await import('./library-run.js');
    const {link, connection, log} = this.#about;
    const stop = new AbortController();
    const signal =
      options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
    const about = {network: this.network, link, stateDir: connection.stateDir};
    const running = runAsMember(argv, {...options, signal}, {...about, log});
    const owned = {
      close: async () => {
        stop.abort();
        await running.catch(() => {});
      },
    };
    this.#owned.add(owned);
    try {
      return await running;
    } finally {
      this.#owned.delete(owned);
    }
  }

  setState(state: object): void {
    this.#membership.setState(state);
  }

  async close(): Promise<void> {
    await this.#membership.close();
    await this.closed.catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

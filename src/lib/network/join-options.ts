// The options of `joinNetwork`, and its result.

import type {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import type {Clock} from '../core/clock.js';
import type {TunlError} from '../core/errors.js';
import type {LogSink} from '../core/logger.js';
import type {Stream} from '../mux/stream.js';
import type {RelayLink} from '../open-link.js';
import type {NetworkScope} from '../protocol/network-messages.js';
import type {Outstanding} from '../seal/last-bytes.js';
import type {AcceptConnection} from './connections.js';
import type {DirectOptions} from './direct-door.js';
import type {TakeFlow} from './incoming-datagrams.js';
import type {Member} from './member.js';

export interface JoinOptions {
  /** The caller closes it; several memberships may share one. Opened with the feature `member` if this one accepts connections. */
  link: RelayLink;
  /** Default `net`. */
  scope?: NetworkScope;
  network: string;
  name: string;
  /** A state folder, where the key of this member is kept; or a key for this process alone. Default `ephemeral`. */
  key?: 'ephemeral' | {stateDir: string};
  /** Answers the connections of other members. Default: this member takes none. */
  accept?: AcceptConnection | undefined;
  /** Takes the flows of UDP of other members. Default: this member takes none. */
  takeFlow?: TakeFlow | undefined;
  /** Also take connections of members of the same user on this machine without the relay. Default true. */
  machine?: boolean | undefined;
  /** Also takes connections of members at a TCP port of this machine. Default false. */
  direct?: boolean | DirectOptions | undefined;
  /** Leave out TLS between members, if the other one does so as well: the relay can read and change everything. Default false. */
  trustRelay?: boolean | undefined;
  signal?: AbortSignal | undefined;
  log?: LogSink | undefined;
  clock?: Clock;
}

export interface ConnectTo {
  /** A member's name, or its address. */
  to: string;
  port: number;
  signal?: AbortSignal | undefined;
}

export interface FlowTo extends ConnectTo {
  /** The port of the sender. */
  from: number;
}

/** Ends with `close`, a reason of the relay that is for good, or its link. */
export interface Membership extends AsyncDisposable {
  readonly scope: NetworkScope;
  readonly network: string;
  /** `fdaa:5137:3ebf::/48` */
  readonly prefix: string;
  readonly name: string;
  readonly address: string;
  readonly serial: number;
  /** Where it takes direct connections, with `direct`. */
  readonly directPort: number | undefined;
  /** True while the relay has it in its roster. */
  readonly joined: boolean;
  /** All members, this one among them, by serial number. */
  readonly members: readonly Member[];
  /** Called after each change of `members`. Returns a function that ends the calls. */
  onMembers(listener: (members: readonly Member[]) => void): () => void;
  /** Tells all members something, at most 900 bytes of JSON. @throws TunlError OPTION_INVALID */
  setState(state: object): void;
  /**
   * Resolves when the other member has accepted.
   *
   * @throws TunlError MEMBER_UNKNOWN, MEMBER_UNPROVEN, MEMBER_UNREACHABLE, UPSTREAM_REFUSED, NOT_ALLOWED, PORT_RANGE, ABORTED
   */
  connect(to: ConnectTo): Promise<Duplex>;
  /**
   * The same for an accepted socket, which must allow half-open connections and must not flow: faster than a Duplex. When this
   * rejects the socket is still open.
   */
  carry(socket: Socket, to: ConnectTo): Promise<void>;
  /**
   * Opens a flow of UDP, a stream of datagrams. It is no connection: `onOpen` gets it in the turn in which it is opened, and its sink
   * hears the rest. Never by the way that the relay can read.
   *
   * @throws TunlError MEMBER_UNKNOWN, MEMBER_UNPROVEN, MEMBER_UNREACHABLE, NOT_ALLOWED, ABORTED
   */
  openFlow(to: FlowTo, onOpen: (stream: Stream) => void): Promise<void>;
  /** The connections with other members, and the bytes that these have not acknowledged. */
  readonly outstanding: Outstanding;
  /** Resolves when the membership has ended for good; with the reason, unless it was closed. */
  readonly ended: Promise<TunlError | undefined>;
  /** Connections are reset. Idempotent. */
  close(): Promise<void>;
}

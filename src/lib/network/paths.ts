// The ways from this member to another one. They are tried at once, the relay 250 ms later: the first whose other end proves its
// key is taken. A better way that answers later is kept for the connections that follow.

import {connect, type Socket} from 'node:net';
import type {TLSSocket} from 'node:tls';
import type {StreamDuplex} from '../bytes/stream-duplex.js';
import {systemClock} from '../core/clock.js';
import {TunlError, toTunlError} from '../core/errors.js';
import type {Stream} from '../mux/stream.js';
import {dialUntil} from '../net/dial.js';
import type {RelayLink} from '../open-link.js';
import type {NetworkName} from '../protocol/network-messages.js';
import {FEATURE_RENDEZVOUS} from '../protocol/rendezvous.js';
import {KIND} from '../protocol/wire.js';
import {refusal} from './connections.js';
import {FailedPlaces} from './failed-places.js';
import {HandshakeStream} from './handshake-stream.js';
import {machinePlace} from './machine-door.js';
import type {MemberKey} from './member-key.js';
import {type SecuredMember, secureMember} from './member-tls.js';
import type {PeerPath} from './peer-session.js';
import {openRendezvous} from './rendezvous.js';
import {type Peer, placeOf} from './roster.js';

export interface Way {
  readonly path: PeerPath;
  /** Its TLS. */
  readonly socket: TLSSocket;
  /** The carrier that follows the first lines. */
  readonly begin: SecuredMember['begin'];
  /** How long the connection took, without the handshake. Undefined by the relay. */
  readonly rttMs?: number;
}

export interface PathsOptions {
  readonly link: Pick<RelayLink, 'open' | 'connect' | 'relay' | 'features' | 'dialPort'>;
  readonly network: NetworkName;
  readonly name: string;
  readonly key: MemberKey;
}

/** How long the better ways are tried before the relay is asked as well, ms. */
const HEAD_START_MS = 250;
/** One attempt of a TCP connection, ms. */
const DIRECT_MS = 5_000;
/** A place that did not answer is not tried again before this has passed, ms. */
const AGAIN_MS = 30_000;
/** The longest wait after a rendezvous that failed: if something on the way to the relay reads TLS, none will work, ms. */
const MEET_AGAIN_MS = 600_000;
/** A rendezvous that lived this long has proved that it works, ms. */
const STEADY_MS = 60_000;
const RANK: Readonly<Record<PeerPath, number>> = {machine: 3, direct: 2, 'relay-tcp': 1, relay: 0};

/** Whether connections on path `b` should move to path `a`. */
export const isBetter = (a: PeerPath, b: PeerPath): boolean => RANK[a] > RANK[b];

export class Paths {
  readonly #options: PathsOptions;
  readonly #failed = new FailedPlaces();

  constructor(options: PathsOptions) {
    this.#options = options;
  }

  /** Whether there is a way that was not tried lately, and is better than this one. */
  hasBetter(peer: Peer, path: PeerPath): boolean {
    return isBetter('direct', path) && this.#directWays(peer).length > 0;
  }

  /**
   * @param onLater gets a better way that answers after the one that this resolves with
   * @throws TunlError MEMBER_UNPROVEN, MEMBER_UNREACHABLE, MEMBER_UNKNOWN, NOT_ALLOWED, ABORTED, or why there is no link
   */
  async dial(
    peer: Peer,
    {signal, onLater}: {signal: AbortSignal; onLater: (way: Way) => void},
  ): Promise<Way> {
    const ways = this.#directWays(peer);
    if (ways.length === 0) return await this.#byRelay(peer, signal);
    return await new Promise((resolve, reject) => {
      let underWay = 0;
      let taken: Way | undefined;
      let isRelayAsked = false;
      const begin = (way: Promise<Way>) => {
        underWay += 1;
        way.then(got, failed);
      };
      const got = (way: Way) => {
        underWay -= 1;
        const before = taken;
        if (before !== undefined && !isBetter(way.path, before.path)) {
          way.socket.destroy();
          return;
        }
        taken = way;
        clearTimeout(timer);
        if (before === undefined) resolve(way);
        else onLater(way);
      };
      const failed = (error: unknown) => {
        underWay -= 1;
        if (underWay > 0 || taken !== undefined) return;
        // Nothing better is under way: the relay need not wait.
        if (isRelayAsked) reject(error);
        else askRelay();
      };
      const askRelay = () => {
        clearTimeout(timer);
        isRelayAsked = true;
        begin(this.#byRelay(peer, signal));
      };
      const timer = setTimeout(askRelay, HEAD_START_MS);
      for (const way of ways) begin(way(signal));
    });
  }

  /** Without the relay. @throws TunlError ABORTED, or MEMBER_* when no better way answers */
  async dialBetter(peer: Peer, signal: AbortSignal): Promise<Way> {
    let lastError: unknown = new TunlError('MEMBER_UNREACHABLE');
    for (const way of this.#directWays(peer)) {
      if (signal.aborted) throw new TunlError('ABORTED');
      try {
        return await way(signal);
      } catch (error) {
        lastError = error;
      }
    }
    throw lastError;
  }

  #directWays(peer: Peer): ((signal: AbortSignal) => Promise<Way>)[] {
    const {unix, at = []} = peer.hints;
    const ways: ((signal: AbortSignal) => Promise<Way>)[] = [];
    const place = unix === undefined ? undefined : machinePlace(unix);
    if (place !== undefined && this.#failed.mayTry(place))
      ways.push((signal) => this.#try(place, peer, {path: 'machine', signal, socket: connectUnix(place)}));
    for (const text of at) {
      const there = placeOf(text);
      if (there === undefined || !this.#failed.mayTry(text)) continue;
      ways.push((signal) =>
        this.#try(text, peer, {
          path: 'direct',
          signal,
          socket: dialUntil(signal, {...there, timeoutMs: DIRECT_MS}),
        }),
      );
    }
    return ways;
  }

  async #try(
    place: string,
    peer: Peer,
    {path, socket, signal}: {path: PeerPath; socket: Promise<Socket>; signal: AbortSignal},
  ): Promise<Way> {
    try {
      const begun = systemClock.now();
      const connected = await socket;
      const rttMs = systemClock.now() - begun;
      return {path, rttMs, ...(await this.#secure(connected, peer, signal))};
    } catch (error) {
      if (!signal.aborted) this.#failed.failed(place, AGAIN_MS);
      throw toTunlError(error, 'MEMBER_UNREACHABLE');
    }
  }

  /** Whether connections on this path may move to a rendezvous at the relay. */
  mayMeet(peer: Peer, path: PeerPath): boolean {
    const isKnown = peer.hints.meets === true && this.#options.link.features.includes(FEATURE_RENDEZVOUS);
    return isKnown && isBetter('relay-tcp', path) && this.#failed.mayTry(meetingWith(peer));
  }

  /** A path has broken, and its connections take another one. One that keeps breaking must not stop them again and again. */
  lost(peer: Peer, path: PeerPath, livedMs: number): void {
    if (path !== 'relay-tcp') return;
    const meeting = meetingWith(peer);
    if (livedMs >= STEADY_MS) this.#failed.worked(meeting);
    this.#failed.failed(meeting, AGAIN_MS, MEET_AGAIN_MS);
  }

  /** By a rendezvous at the relay. @throws TunlError as `dial` */
  async meet(peer: Peer, signal: AbortSignal): Promise<Way> {
    const {link, network, name} = this.#options;
    try {
      const socket = await openRendezvous(link, {...network, from: name, to: peer.name}, signal);
      return {path: 'relay-tcp', ...(await this.#secure(socket, peer, signal))};
    } catch (error) {
      if (!signal.aborted) this.#failed.failed(meetingWith(peer), AGAIN_MS, MEET_AGAIN_MS);
      throw error;
    }
  }

  async #byRelay(peer: Peer, signal: AbortSignal): Promise<Way> {
    const {link, network, name} = this.#options;
    let duplex: StreamDuplex | undefined;
    const onOpen = (stream: Stream) => {
      // TLS begins before the other member has accepted: that saves a round trip.
      duplex = new HandshakeStream(stream, {toError: (code, message) => refusal(code, message)});
    };
    await link.open(KIND.member, {...network, from: name, to: peer.name, port: 0}, {signal, onOpen});
    if (duplex === undefined) throw new TunlError('MEMBER_UNREACHABLE');
    return {path: 'relay', ...(await this.#secure(duplex, peer, signal))};
  }

  async #secure(duplex: StreamDuplex | Socket, peer: Peer, signal: AbortSignal): Promise<SecuredMember> {
    const {key} = this.#options;
    const accepts = (raw: Buffer) => raw.equals(peer.key);
    return await secureMember(duplex, {key, isAcceptor: false, accepts, signal});
  }
}

const meetingWith = ({address}: Peer): string => `rendezvous with ${address}`;

function connectUnix(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

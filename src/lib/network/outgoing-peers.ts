// The connections from this member to all others, by the address of the other one.

import type {Stream} from '../mux/stream.js';
import type {RelayLink} from '../open-link.js';
import {KIND} from '../protocol/wire.js';
import {type Outstanding, sumOf} from '../seal/last-bytes.js';
import type {KnownPeers} from './known-peers.js';
import {OutgoingPeer} from './outgoing-peer.js';
import type {Paths} from './paths.js';
import type {PeerOpen, PeerPath, SharedByPeers} from './peer-session.js';

export interface OutgoingPeersOptions {
  readonly shared: SharedByPeers;
  readonly paths: Paths;
  readonly peers: KnownPeers;
  /** The path to a member, or its round trip, may have changed. */
  readonly onChange: () => void;
}

export interface OpenTo<T> {
  readonly to: PeerOpen;
  readonly signal: AbortSignal | undefined;
  /** Sets the sink of the stream, in the turn in which it is opened. */
  readonly use: (stream: Stream) => Promise<T>;
}

export class OutgoingPeers {
  readonly #options: OutgoingPeersOptions;
  readonly #all = new Map<string, OutgoingPeer>();

  constructor(options: OutgoingPeersOptions) {
    this.#options = options;
  }

  /** @throws TunlError as `OutgoingPeer.open` */
  async open<T>(address: string, {to, signal, use}: OpenTo<T>): Promise<T> {
    const {shared, paths, peers, onChange} = this.#options;
    let outgoing = this.#all.get(address);
    if (outgoing === undefined) {
      outgoing = new OutgoingPeer({shared, paths, peer: () => peers.at(address), onChange});
      this.#all.set(address, outgoing);
    }
    return await outgoing.open(to, signal, use);
  }

  /** Undefined where there is no session. */
  seenOf(address: string): {readonly path: PeerPath | undefined; readonly rttMs: number | undefined} {
    const outgoing = this.#all.get(address);
    return {path: outgoing?.path, rttMs: outgoing?.rttMs};
  }

  get outstanding(): Outstanding {
    return sumOf([...this.#all.values()].map((each) => each.outstanding));
  }

  /** Ends the connections to members for which this is false. */
  keepOnly(isMember: (address: string) => boolean): void {
    for (const [address, outgoing] of this.#all) {
      if (isMember(address)) continue;
      this.#all.delete(address);
      void outgoing.close();
    }
  }

  /** Resolves when the other members have been told. */
  async close(): Promise<void> {
    await Promise.all([...this.#all.values()].map((each) => each.close()));
  }
}

/** One connection that the relay could read: a stream of its own, without TLS between the members. @throws TunlError */
export async function openPlain<T>(
  link: Pick<RelayLink, 'open'>,
  about: object,
  {signal, use}: Pick<OpenTo<T>, 'signal' | 'use'>,
): Promise<T> {
  const opened = Promise.withResolvers<T>();
  opened.promise.catch(() => {});
  await link.open(KIND.member, about, {
    ...(signal && {signal}),
    onOpen: (stream) => opened.resolve(use(stream)),
  });
  return await opened.promise;
}

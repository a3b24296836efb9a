// The streams that the relay opens for other members, given to the membership that each is for: one link may have several.

import type {Stream} from '../mux/stream.js';
import type {RelayLink} from '../open-link.js';
import {type NetworkName, parseMemberOffer} from '../protocol/network-messages.js';
import {KIND} from '../protocol/wire.js';
import type {MemberId} from './connections.js';
import {HandshakeStream} from './handshake-stream.js';

/** One membership of a link. */
export interface MemberEnd {
  /** True: it takes no more ways from this address now. */
  isFull(claimed: string): boolean;
  /** A way for a session, from a member that has yet to prove its key. */
  onWay(stream: HandshakeStream, claimed: string): void;
  /** A way for a session, from such a member, over a rendezvous, for which the stream stands. False: it asks too often. */
  onRendezvous(stream: Stream, id: string, claimed: string): boolean;
  /** One connection without TLS. Undefined: it takes only those inside TLS. */
  onPlain: ((stream: Stream, from: MemberId, port: number) => void) | undefined;
}

const ends = new WeakMap<Pick<RelayLink, 'take'>, Map<string, MemberEnd>>();

const placeOf = ({scope, network}: NetworkName, name: string): string => `${scope}/${network}/${name}`;

/** Returns a function that ends it. */
export function takeMemberStreams(
  link: Pick<RelayLink, 'take'>,
  network: NetworkName,
  name: string,
  end: MemberEnd,
): () => void {
  let all = ends.get(link);
  if (all === undefined) {
    const made = new Map<string, MemberEnd>();
    ends.set(link, made);
    link.take(KIND.member, (stream, about) => offer(made, stream, about));
    all = made;
  }
  const place = placeOf(network, name);
  all.set(place, end);
  return () => {
    if (all.get(place) === end) all.delete(place);
  };
}

/** @throws MalformedMessage */
function offer(all: ReadonlyMap<string, MemberEnd>, stream: Stream, about: Buffer): void {
  const {to, from, port, rendezvous, ...network} = parseMemberOffer(about);
  const end = all.get(placeOf(network, to));
  if (end === undefined) {
    stream.refuse('MEMBER_UNKNOWN');
    return;
  }
  if (port > 0) {
    if (end.onPlain === undefined)
      stream.refuse('NOT_ALLOWED', 'The member takes only connections with TLS between members.');
    else end.onPlain(stream, from, port);
    return;
  }
  if (end.isFull(from.address)) {
    stream.refuse('TOO_MANY_STREAMS', 'The member is busy.');
    return;
  }
  if (rendezvous !== undefined) {
    if (!end.onRendezvous(stream, rendezvous, from.address))
      stream.refuse('TOO_MANY_STREAMS', 'The member was asked for too many rendezvous.');
    return;
  }
  const duplex = new HandshakeStream(stream);
  stream.accept();
  end.onWay(duplex, from.address);
}

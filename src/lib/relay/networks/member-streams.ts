// Streams between members: the relay checks that the opener is a member, finds the other one, and joins both streams.

import {StreamJoin} from '../../bytes/stream-join.js';
import type {UnreadLimit} from '../../bytes/unread-limit.js';
import type {Clock} from '../../core/clock.js';
import type {Stream} from '../../mux/stream.js';
import type {StreamHandler} from '../../mux/stream-kinds.js';
import {type MemberOffer, parseMemberOpen} from '../../protocol/network-messages.js';
import type {Principal} from '../access/principal.js';
import type {Opener} from '../agents/opened-streams.js';
import type {Bandwidths, Limited} from '../limits/bandwidth.js';
import type {Desk, MemberPlace} from './desk.js';
import type {Membership} from './membership.js';
import type {NetworkRefusal} from './network-desk.js';
import {keyOf, type Networks} from './networks.js';
import {type Peers, parsePeerOpen} from './peers.js';
import type {RendezvousBytes, RendezvousTable} from './rendezvous.js';

/** The streams to one member that are not answered yet. */
const MOST_WAITING = 256;
/** The streams from and to one member. */
const MOST_JOINS = 16_384;
/** The far agent may dial for a while, and its link may be away. */
const ANSWER_MS = 60_000;

export interface MemberStreamsOptions {
  networks: Pick<Networks, 'memberOf' | 'memberNumbered'>;
  desk: Pick<Desk, 'find'>;
  /** Opens a stream of kind `member` in this session. Undefined: the session is gone, or has too many streams. */
  openTo: (session: string, about: MemberOffer) => Stream | undefined;
  /** The other workers. Undefined: this process is the only one, or cannot reach them. */
  peers: Pick<Peers, 'open'> | undefined;
  unread: Pick<UnreadLimit, 'add' | 'delete'>;
  bandwidths: Pick<Bandwidths, 'of'>;
  rendezvous: Pick<RendezvousTable, 'open' | 'pace' | 'bytesOf'>;
  clock: Clock;
}

export class MemberStreams {
  readonly #options: MemberStreamsOptions;

  constructor(options: MemberStreamsOptions) {
    this.#options = options;
  }

  /** Takes streams of kind `member` from agents. */
  readonly take: StreamHandler<Opener> = (stream, payload, {session}) => {
    const {from, to, port, rendezvous, ...network} = parseMemberOpen(payload);
    const {networks, desk} = this.#options;
    const mine = networks.memberOf(session, network, from);
    const refusal = refusalFrom(mine, from, to);
    if (mine === undefined || refusal !== undefined) {
      stream.refuse(...(refusal ?? NO_MEMBER));
      return;
    }
    const join = this.#joinFrom(stream);
    const offer: MemberOffer = {...network, to, from: {name: from, address: mine.address}, port};
    if (rendezvous && port === 0) {
      const id = this.#options.rendezvous.open(join, mine.opener.principal.owner);
      if (id === undefined) {
        join.cut('TOO_MANY_STREAMS', 'Too many members have a rendezvous.');
        return;
      }
      offer.rendezvous = id;
    }
    mine.joins.add(join, 'opener', this.#bytesOf(offer));
    void desk.find(keyOf(network), to).then(
      (place) => this.#reach(join, {offer, by: mine.opener.principal}, place),
      () => join.cut('DRAINING', 'The relay cannot look for the member now.'),
    );
  };

  /** Takes a stream of another worker to a member in this one. @throws MalformedMessage */
  fromPeer(stream: Stream, payload: Buffer): void {
    const {member, ...offer} = parsePeerOpen(payload);
    const join = new StreamJoin({from: stream, absentCode: 'MEMBER_UNKNOWN'});
    this.#countUnread(join, 'both');
    this.#offer(join, {offer}, this.#options.networks.memberNumbered(member));
  }

  #joinFrom(stream: Stream): StreamJoin {
    const join = new StreamJoin({from: stream, absentCode: 'MEMBER_UNKNOWN'});
    // The stream itself is counted with all streams that agents open.
    this.#countUnread(join, 'to');
    return join;
  }

  /** The bytes beside the join. */
  #bytesOf({rendezvous}: MemberOffer): (() => RendezvousBytes) | undefined {
    return rendezvous === undefined ? undefined : this.#options.rendezvous.bytesOf(rendezvous);
  }

  #countUnread(join: StreamJoin, of: 'both' | 'to'): void {
    const {unread} = this.#options;
    for (const holder of join.unread(of)) {
      const watched = unread.add(holder);
      join.onOver(() => unread.delete(watched));
    }
  }

  #reach(join: StreamJoin, asked: Asked, place: MemberPlace | undefined): void {
    const {peers, networks} = this.#options;
    const {offer, by} = asked;
    // The agent may have given up meanwhile.
    if (join.over) return;
    if (place === undefined) join.cut(...NO_MEMBER);
    else if (place.worker === undefined) this.#offer(join, asked, networks.memberNumbered(place.member));
    else if (offer.rendezvous !== undefined)
      // The limits and the counts of the other member are in its process.
      join.cut('NOT_ALLOWED', 'The member is at another process of the relay.');
    else if (peers === undefined)
      join.cut('MEMBER_UNKNOWN', 'The member is at another process of the relay.');
    else {
      void peers.open(place.worker, {...offer, member: place.member}).then((to) => {
        // The limit of the other member's owner is in its worker.
        if (to !== undefined) this.#connect(join, to, by && {principal: by});
        else join.cut('MEMBER_UNKNOWN', 'The process of the relay that has the member is gone.');
      });
    }
  }

  #offer(join: StreamJoin, {offer, by}: Asked, target: Membership | undefined): void {
    const {clock, openTo} = this.#options;
    const refusal = refusalTo(target);
    const to =
      target !== undefined && refusal === undefined ? openTo(target.opener.session, offer) : undefined;
    if (target === undefined || to === undefined) {
      join.cut(...(refusal ?? (['TOO_MANY_STREAMS', 'The member has too many streams.'] as const)));
      return;
    }
    const late = () => join.cut('UPSTREAM_TIMEOUT', 'The member did not answer in time.');
    const timer = clock.after(ANSWER_MS, late);
    target.joins.add(join, 'target', this.#bytesOf(offer));
    target.waiting += 1;
    join.onAnswered(() => {
      target.waiting -= 1;
      timer.cancel();
    });
    const {principal} = target.opener;
    const isCountedElsewhere = by === undefined;
    this.#connect(join, to, {principal, peer: by, isCountedElsewhere}, offer.rendezvous);
  }

  #connect(join: StreamJoin, to: Stream, limited: Limited | undefined, rendezvous?: string): void {
    // The opener may have left meanwhile.
    const bandwidth = join.over || limited === undefined ? undefined : this.#options.bandwidths.of(limited);
    if (bandwidth !== undefined) join.onOver(() => bandwidth.release());
    if (bandwidth !== undefined && rendezvous !== undefined)
      this.#options.rendezvous.pace(rendezvous, bandwidth.rates);
    join.connect(to, bandwidth?.rates);
  }
}

interface Asked {
  readonly offer: MemberOffer;
  /** Undefined: the opener is at another worker, which counts its bytes. */
  readonly by?: Principal;
}

const NO_MEMBER: NetworkRefusal = ['MEMBER_UNKNOWN', 'The network has no such member.'];

function refusalFrom(mine: Membership | undefined, from: string, to: string): NetworkRefusal | undefined {
  if (mine === undefined) return ['MEMBER_UNKNOWN', `This session is no member ${from} of the network.`];
  if (from === to) return ['NOT_ALLOWED', 'A member reaches itself without the relay.'];
  return mine.joins.size < MOST_JOINS
    ? undefined
    : ['TOO_MANY_STREAMS', `A member may have ${MOST_JOINS} streams.`];
}

function refusalTo(target: Membership | undefined): NetworkRefusal | undefined {
  if (target?.isIn !== true) return NO_MEMBER;
  if (target.about.member?.accepts !== true) return ['UPSTREAM_REFUSED', 'The member takes no connections.'];
  if (target.waiting >= MOST_WAITING)
    return ['TOO_MANY_STREAMS', 'Too many connections to the member wait for its answer.'];
  return target.joins.size < MOST_JOINS
    ? undefined
    : ['TOO_MANY_STREAMS', `A member may have ${MOST_JOINS} streams.`];
}

// The members of a network as somebody sees them who is none: by the roster, and by the ways that work from here.

import {TunlError} from '../core/errors.js';
import type {RelayLink} from '../open-link.js';
import {memberAddress, type NetworkName, type RosterMember} from '../protocol/network-messages.js';
import {endOf} from './join-loop.js';
import type {Member} from './member.js';
import {ephemeralMemberKey} from './member-key.js';
import {MembershipStream} from './membership-stream.js';
import {checkNames, relayNameOf} from './network-names.js';
import {Paths, type Way} from './paths.js';
import {type Peer, peersOf} from './roster.js';

const ROSTER_MS = 15_000;
/** How long a member is tried directly, ms. */
const TRY_MS = 1_500;
/** Members that are tried at once. */
const AT_ONCE = 8;

/** @throws TunlError NETWORK_INVALID, NOT_ALLOWED, RELAY_LACKS_FEATURE, RELAY_BUSY, RELAY_TIMEOUT, RELAY_LOST */
export async function listMembers(link: RelayLink, network: NetworkName): Promise<Member[]> {
  const {peers} = peersOf(await rosterOf(link, network), (key) =>
    memberAddress(relayNameOf(link), network, key),
  );
  peers.sort((a, b) => a.serial - b.serial);
  const paths = new Paths({link, network, name: '', key: ephemeralMemberKey()});
  const found: Member[] = [];
  for (let at = 0; at < peers.length; at += AT_ONCE)
    found.push(...(await Promise.all(peers.slice(at, at + AT_ONCE).map((peer) => seen(paths, peer)))));
  return found;
}

/** @throws TunlError as `listMembers`; the signal's reason */
export async function rosterOf(
  link: RelayLink,
  network: NetworkName,
  signal?: AbortSignal,
): Promise<RosterMember[]> {
  checkNames(network.network);
  const roster = Promise.withResolvers<RosterMember[]>();
  roster.promise.catch(() => {});
  const ends = new AbortController();
  const stream = new MembershipStream({
    link,
    relay: relayNameOf(link),
    network,
    member: undefined,
    signal: ends.signal,
    state: () => ({}),
    onJoined: () => {},
    onMembers: roster.resolve,
    onEnded: (code, message) => roster.reject(endOf(code, message)),
  });
  const late = () =>
    roster.reject(new TunlError('RELAY_TIMEOUT', {reason: 'The relay did not tell the members in time.'}));
  const timer = setTimeout(late, ROSTER_MS);
  const stop = () => roster.reject(signal?.reason);
  signal?.addEventListener('abort', stop, {once: true});
  if (signal?.aborted) stop();
  try {
    await stream.open();
    return await roster.promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
    stream.close();
  }
}

/** The other end proves its key; then it is left, because this process has none that the member would take. */
async function seen(paths: Paths, {name, address, serial, accepts, state, ...peer}: Peer): Promise<Member> {
  const way: Way | undefined = await paths
    .dialBetter({name, address, serial, accepts, state, ...peer}, AbortSignal.timeout(TRY_MS))
    .catch(() => undefined);
  way?.socket.on('error', () => {}).destroy();
  const rttMs = way?.rttMs;
  const path = way?.path ?? 'relay';
  return {
    name,
    address,
    serial,
    accepts,
    state,
    path,
    ...(rttMs !== undefined && {rttMs: Math.round(rttMs * 10) / 10}),
  };
}

// Where a member takes the connections of others: streams of the relay, a Unix socket, and, if asked for, a TCP port.

import type {Duplex} from 'node:stream';
import {systemClock} from '../core/clock.js';
import type {NetworkName} from '../protocol/network-messages.js';
import {TokenBuckets} from '../relay/doors/token-buckets.js';
import {openDirectDoor} from './direct-door.js';
import type {IncomingPeers} from './incoming-peers.js';
import type {JoinOptions} from './join-options.js';
import {openMachineDoor} from './machine-door.js';
import {takeMemberStreams} from './member-streams.js';
import {takeRendezvous} from './rendezvous.js';
import type {PathHints} from './roster.js';

export interface DoorsOptions
  extends Pick<JoinOptions, 'link' | 'name' | 'machine' | 'direct' | 'trustRelay' | 'clock'> {
  readonly network: NetworkName;
  readonly incoming: IncomingPeers;
}

export interface Doors {
  /** The hints that the other members get about them. */
  readonly hints: PathHints;
  readonly directPort: number | undefined;
  close(): void;
}

/** What one other member may ask for. An honest one asks once in half a minute for each session; each costs this machine a connection to the relay. */
const RENDEZVOUS_OF_ONE = {burst: 10, perSecond: 0.2};

/** @throws TunlError LISTEN_* */
export async function openDoors(options: DoorsOptions): Promise<Doors> {
  const {link, network, name, incoming, trustRelay = false, clock = systemClock} = options;
  const {machine: takesMachine = true, direct: asked = false} = options;
  const take = async (socket: Duplex) => await incoming.take(socket, 'direct');
  const direct = asked === false ? undefined : await openDirectDoor(asked === true ? {} : asked, take);
  const machine = takesMachine
    ? await openMachineDoor((socket) => void incoming.take(socket, 'machine'))
    : undefined;
  const rendezvous = new TokenBuckets({...RENDEZVOUS_OF_ONE, clock});
  const leave = takeMemberStreams(link, network, name, {
    isFull: (claimed) => incoming.isFull(claimed),
    onWay: (duplex, claimed) => void incoming.take(duplex, 'relay', claimed),
    onRendezvous: (stream, id, claimed) => {
      if (!rendezvous.has(claimed)) return false;
      rendezvous.spend(claimed);
      const come = async (socket: Duplex) => await incoming.take(socket, 'relay-tcp', claimed);
      void takeRendezvous({link, stream, id}, come);
      return true;
    },
    onPlain: trustRelay ? (stream, from, port) => incoming.takePlain(stream, from, port) : undefined,
  });
  return {
    hints: {
      ...(machine && {unix: machine.name}),
      ...(direct && direct.at.length > 0 && {at: direct.at}),
      ...(trustRelay && {plain: true as const}),
      meets: true,
    },
    directPort: direct?.port,
    close: () => {
      leave();
      machine?.close();
      direct?.close();
    },
  };
}

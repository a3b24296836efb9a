// A UDP socket for one flow: bound to an address of an egress and a port of its range, and connected to one destination.

import {createSocket, type RemoteInfo, type Socket} from 'node:dgram';
import {OBJECT_BYTES} from '../../bytes/datagram-stream.js';
import {systemCode} from '../../core/errors.js';
import {plainAddress} from '../../net/host-name.js';
import {NO_PORT, NO_SOURCE} from './egress-dial.js';
import {familyOf} from './egress-set.js';
import type {LocalPorts, PortLease} from './local-ports.js';
import {isAddressLost} from './source-health.js';

/** The local ports that one flow tries at the most. */
const MOST_PORTS = 128;

/** The system gives a port of UDP to one socket of an address, whatever its destination is. */
const EVERY_DESTINATION = 'udp';

export interface DatagramSocketOptions {
  /** It was judged, and no other one is used. */
  address: string;
  port: number;
  sourceFor: () => string | undefined;
  onSourceLost: (source: string, code: string) => void;
  ports: Pick<LocalPorts, 'take'>;
  onDatagram: (datagram: Buffer) => void;
  /** An error that ends the flow, such as ECONNREFUSED of an ICMP message. Not called before the promise resolves. */
  onBroken: (code: string) => void;
}

export interface DatagramSocket {
  readonly source: string;
  send(datagram: Buffer): void;
  close(): void;
}

/** Bytes that the system has not taken yet, with the objects of their datagrams. Later ones are lost until it has. */
const MOST_UNSENT_BYTES = 64 * 1024;

/** The datagram is lost, and the flow is not. */
const HARMLESS: readonly string[] = ['EMSGSIZE', 'ENOBUFS', 'ENOMEM', 'EAGAIN'];

/** @throws Error with a code: NO_SOURCE, NO_PORT, or the system's */
export async function openDatagramSocket(options: DatagramSocketOptions): Promise<DatagramSocket> {
  const {address, sourceFor, onSourceLost, ports} = options;
  const lost = new Set<string>();
  for (let tried = 0; tried < MOST_PORTS; tried += 1) {
    const source = sourceFor();
    if (source === undefined || lost.has(source)) throw failure(NO_SOURCE);
    const lease = ports.take(source, EVERY_DESTINATION);
    if (lease === undefined) throw failure(NO_PORT);
    const socket = createSocket({type: familyOf(address) === 4 ? 'udp4' : 'udp6', lookup: asIs});
    try {
      await bind(socket, source, lease.port);
      return await connected(socket, source, lease, options);
    } catch (error) {
      socket.close();
      if (isAddressLost(error as Error)) {
        lease.free();
        lost.add(source);
        onSourceLost(source, systemCode(error));
      } else if (systemCode(error) === 'EADDRINUSE') lease.refused();
      else {
        lease.free();
        throw error;
      }
    }
  }
  throw failure(NO_PORT);
}

async function connected(
  socket: Socket,
  source: string,
  lease: PortLease,
  {address, port, onDatagram, onBroken}: DatagramSocketOptions,
): Promise<DatagramSocket> {
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.connect(port, address, () => {
      socket.off('error', reject);
      resolve();
    });
  });
  let isOpen = true;
  const broken = (error: Error | null) => {
    const code = systemCode(error);
    if (error !== null && isOpen && !HARMLESS.includes(code)) onBroken(code);
  };
  let known: string | undefined;
  /** Datagrams of others may have come before the socket was connected. */
  const isPeer = (from: RemoteInfo): boolean => {
    if (from.port !== port) return false;
    if (known === undefined && plainAddress(from.address) === address) known = from.address;
    return from.address === known;
  };
  socket.on('error', broken);
  socket.on('message', (datagram, from) => {
    if (isOpen && isPeer(from)) onDatagram(datagram);
  });
  return {
    source,
    send: (datagram) => {
      if (!isOpen) return;
      const unsent = socket.getSendQueueSize() + socket.getSendQueueCount() * OBJECT_BYTES;
      if (unsent < MOST_UNSENT_BYTES) socket.send(datagram, broken);
    },
    close: () => {
      if (!isOpen) return;
      isOpen = false;
      socket.close();
      lease.free();
    },
  };
}

function bind(socket: Socket, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    // Workers of a cluster would share it otherwise.
    socket.bind({address, port, exclusive: true}, () => {
      socket.off('error', reject);
      resolve();
    });
  });
}

/** Addresses alone come here: there is nothing to look up. */
function asIs(
  address: string,
  _options: unknown,
  done: (error: NodeJS.ErrnoException | null, address: string, family: number) => void,
): void {
  done(null, address, familyOf(address));
}

const failure = (code: string): Error => Object.assign(new Error(code), {code});

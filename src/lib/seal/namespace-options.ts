// What a namespace is opened with, and what it tells of.

import type {Socket as UdpSocket} from 'node:dgram';
import type {Server, Socket} from 'node:net';
import type {DialAnswer} from './dialler.js';
import type {MemberNetwork} from './member-network.js';

export interface NamespaceEvents {
  /** A listener has come out of the namespace. */
  onDoor: (server: Server) => void;
  onResolver: (socket: UdpSocket) => void;
  onDialled: (answer: DialAnswer, socket: Socket | undefined) => void;
  /** The holder, or the program that dials, has ended although nobody has closed it. Called once. */
  onLost: (detail: string) => void;
}

/** The things that programs find in the namespaces. */
export interface SealedView {
  /** Ports of this machine's loopback that programs reach at their own loopback. */
  readonly localPorts?: readonly number[] | undefined;
  /** /etc/resolv.conf names the seal's resolver only. Default: the machine's file; its questions arrive at the seal anyway. */
  readonly ownResolvConf?: boolean | undefined;
  /** /run is empty: no sockets of the machine's services. */
  readonly hidesRun?: boolean | undefined;
}

export interface NamespaceOptions extends SealedView {
  /** The namespace of this process, instead of a new one. It must have no way out of its own. */
  readonly joins?: {readonly pid: number} | undefined;
  /** The kernel ends all programs with the seal. Where that cannot be, they are looked for. Only in new namespaces. */
  readonly ownProcesses?: boolean | undefined;
  /** A device and a host name of a private network. Only in a new namespace. */
  readonly member?: Pick<MemberNetwork, 'address' | 'prefix' | 'name'> | undefined;
  /** UDP leaves by a device of its own: all of it, or that of the private network. Only in a new namespace. */
  readonly carriesUdp?: 'all' | 'members' | undefined;
  /** Open connections at once. Default 512. Half of them may begin in each second. */
  readonly maxConnections?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

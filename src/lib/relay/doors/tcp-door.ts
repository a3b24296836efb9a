// The relay's TCP ports for visitors: each belongs to a tunnel, or to one that is expected back.

import type {Socket} from 'node:net';
import {PROBE_PROTOCOL} from '../../protocol/probe.js';
import type {LeaseKey} from '../leases/lease-store.js';
import type {Part} from '../part.js';
import type {TcpPorts} from '../tunnels/tcp-ports.js';
import type {Tunnel} from '../tunnels/tunnel-table.js';
import type {Visitor} from '../visitors/open-visitor.js';
import type {WaitingRoom} from '../visitors/waiting-room.js';
import {type Peer, peerOf} from './peer.js';

/** `Entry`: where the visitors of a port go. */
export interface TcpDoorOptions<Entry extends {readonly key: LeaseKey} = Tunnel> {
  ports: Pick<TcpPorts, 'onVisitor' | 'includes' | 'open' | 'close' | 'closeAll'>;
  tunnels: {ofPort(port: number): Entry | undefined};
  visitors: {welcome(entry: Entry | undefined, visitor: Visitor): void};
  waitingRoom: Pick<WaitingRoom<Entry>, 'wait' | 'onSettled'>;
  isBlocked: (peer: Peer) => boolean;
  /** Connections of this relay to its own ports, which are probes. Default: there are none. */
  own?: {has(address: string, port: number): boolean};
  /** Has the leases of the previous process's agents. */
  leases: {readonly expected: Iterable<LeaseKey>};
}

export class TcpDoor<Entry extends {readonly key: LeaseKey} = Tunnel> implements Part {
  readonly #options: TcpDoorOptions<Entry>;

  constructor(options: TcpDoorOptions<Entry>) {
    this.#options = options;
    options.ports.onVisitor = (socket, port) => this.accept(socket, port);
    options.waitingRoom.onSettled = (keys) => this.letGo(keys);
  }

  /** Ports of tunnels that are expected back listen at once, so that their visitors wait instead of being refused. */
  async start(): Promise<void> {
    await this.expect([...this.#options.leases.expected]);
  }

  /** Listens on the ports among these keys. */
  async expect(keys: readonly LeaseKey[]): Promise<void> {
    const {ports} = this.#options;
    const expected = keys.map(portOf).filter((port) => port !== undefined);
    await Promise.all(
      expected.filter((port) => ports.includes(port)).map((port) => ports.open(port, this).catch(() => {})),
    );
  }

  drain(): void {
    this.#options.ports.closeAll();
  }

  close(): void {
    this.#options.ports.closeAll();
  }

  /** Takes a connection just accepted. */
  accept(socket: Socket, port: number): void {
    const {tunnels, visitors, waitingRoom, own, isBlocked} = this.#options;
    const peer = peerOf(socket);
    if (peer === undefined || isBlocked(peer)) {
      socket.on('error', () => {});
      socket.resetAndDestroy();
      return;
    }
    const visitor: Visitor = {
      socket,
      raw: socket,
      peer,
      via: 'tcp',
      alpn: own?.has(peer.address, peer.port) ? PROBE_PROTOCOL : undefined,
    };
    const tunnel = tunnels.ofPort(port);
    if (tunnel !== undefined) {
      visitors.welcome(tunnel, visitor);
      return;
    }
    socket.on('error', () => {});
    // Its address may have been blocked while it waited.
    const enter = (found: Entry | undefined) =>
      visitors.welcome(isBlocked(peer) ? undefined : found, visitor);
    if (!waitingRoom.wait(`tcp:${port}`, socket, enter)) enter(undefined);
  }

  /** Nobody waits for these any more: their agents came back, or did not. */
  letGo(keys: readonly LeaseKey[]): void {
    for (const key of keys) {
      const port = portOf(key);
      if (port !== undefined) this.#options.ports.close(port, this);
    }
  }
}

function portOf(key: LeaseKey): number | undefined {
  return key.startsWith('tcp:') ? Number(key.slice(4)) : undefined;
}

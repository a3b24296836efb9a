// Hands sockets over to workers, each with the bytes that this process has read of it.

import type {Socket} from 'node:net';
import {stopReading} from '../../bytes/reading.js';
import type {Logger} from '../../core/logger.js';
import {type RendezvousPlace, workerOfRendezvous} from '../../protocol/rendezvous.js';
import type {Arrival, Onward} from '../doors/front-door.js';
import type {Peer} from '../doors/peer.js';
import {type NameRefusal, refuseName} from '../doors/refuse-name.js';
import {sayUnknownName} from '../doors/tls-alerts.js';
import type {LeaseKey} from '../leases/lease-store.js';
import type {WaitingRoom} from '../visitors/waiting-room.js';
import type {Destination, HandedOver} from './messages.js';

/** A worker that takes sockets. */
export interface SocketTaker {
  /** @param done called when the worker has the socket, or is gone. */
  take(message: HandedOver, socket: Socket, done: (isTaken: boolean) => void): void;
}

/** A key whose visitors go to this worker. */
export interface Entry {
  readonly key: LeaseKey;
  readonly worker: SocketTaker;
}

export interface HandOverOptions {
  /** The worker for a connection to the relay's own name: the one named by ALPN, or any. Undefined: none is up. */
  workerForOwn: (alpn: readonly string[], source: string) => SocketTaker | undefined;
  /** Undefined: it is gone, or was never there. */
  workerNumbered: (worker: number) => SocketTaker | undefined;
  /** The worker that has the tunnel. */
  workerOf: (key: LeaseKey) => SocketTaker | undefined;
  waitingRoom: Pick<WaitingRoom<Entry>, 'wait'>;
  unknownNames: NameRefusal['unknownNames'];
  log: Logger;
}

export class HandOver implements Onward {
  readonly #options: HandOverOptions;

  constructor(options: HandOverOptions) {
    this.#options = options;
  }

  enterOwn(arrival: Arrival): void {
    const {connection, name, alpn} = arrival;
    if (!connection.secures('own')) return;
    const worker = this.#options.workerForOwn(alpn, connection.peer.source);
    if (worker === undefined) connection.end();
    else pass(arrival, worker, {to: 'own', name, alpn});
  }

  enterRendezvous(arrival: Arrival, {side, id}: RendezvousPlace): void {
    const worker = this.#options.workerNumbered(workerOfRendezvous(id));
    if (worker === undefined) arrival.connection.endAtNoPlace();
    else pass(arrival, worker, {to: 'rendezvous', side, id, name: arrival.name});
  }

  enterTunnel(arrival: Arrival, label: string): void {
    const {connection, name, alpn} = arrival;
    const {workerOf, waitingRoom} = this.#options;
    const key: LeaseKey = `tls:${label}`;
    const enter = (worker: SocketTaker) => {
      if (connection.secures('visitor')) pass(arrival, worker, {to: 'tunnel', label, name, alpn});
    };
    const worker = workerOf(key);
    if (worker !== undefined) enter(worker);
    else if (!waitingRoom.wait(key, connection.raw, ({worker}) => enter(worker), sayUnknownName)) {
      refuseName(arrival, this.#options);
    }
  }

  /** Takes a visitor that came to a port of this process, and waited for its tunnel there. */
  readonly welcome = (entry: Entry | undefined, {socket, peer}: {socket: Socket; peer: Peer}): void => {
    socket.on('error', ignore);
    if (entry === undefined) {
      socket.resetAndDestroy();
      return;
    }
    const message = {to: 'port', port: Number(entry.key.slice(4))} as const;
    const head = bytesOf(socket, []);
    send(entry.worker, socket, {...message, type: 'socket', peer, ageMs: 0, head}, () => socket.destroy());
  };
}

/** The connection keeps its deadline until the worker has it, so a worker that hangs cannot pile up sockets. */
function pass({connection, head}: Arrival, worker: SocketTaker, destination: Destination): void {
  const {raw, peer, ageMs} = connection;
  const text = bytesOf(raw, [head]);
  send(worker, raw, {...destination, type: 'socket', peer, ageMs, head: text}, (isTaken) => {
    if (isTaken) connection.enter();
    else connection.end();
    raw.destroy();
  });
}

function send(worker: SocketTaker, socket: Socket, message: HandedOver, done: (isTaken: boolean) => void) {
  // Otherwise Node keeps a list of all such sockets in both processes.
  (socket as {server?: unknown}).server = null;
  worker.take(message, socket, done);
}

/** From here on the bytes stay in the kernel, for the worker. Those read already are added to the head. */
function bytesOf(socket: Socket, head: Buffer[]): string {
  stopReading(socket);
  for (let more = socket.read() as Buffer | null; more !== null; more = socket.read() as Buffer | null)
    head.push(more);
  const [only] = head;
  return (head.length === 1 && only !== undefined ? only : Buffer.concat(head)).toString('base64');
}

const ignore = (): void => {};

// The relay's one TLS port: reads the name that a connection asks for, and passes the connection on, or ends it.

import type {Socket} from 'node:net';
import type {ClientHelloAnswer} from '../../bytes/client-hello.js';
import type {Clock} from '../../core/clock.js';
import type {Logger} from '../../core/logger.js';
import {labelUnder} from '../../protocol/names.js';
import {type RendezvousPlace, rendezvousIn} from '../../protocol/rendezvous.js';
import type {Blocks} from '../access/blocked.js';
import {Hello} from './hello.js';
import {HelloTurns} from './hello-turns.js';
import type {OnlyTunnel} from './local-doors.js';
import type {PendingConnections} from './pending.js';
import type {PendingConnection} from './pending-connection.js';
import {type NameRefusal, refuseName} from './refuse-name.js';

/** The answer to plain HTTP on this port: the client should use https://. */
const PLAIN_HTTP_ANSWER =
  'HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis port speaks TLS: use https://\n';

/** A connection whose ClientHello was read, and whose name is one of this relay's. */
export interface Arrival {
  connection: PendingConnection;
  /** All bytes so far; TLS needs them again. */
  head: Buffer;
  name: string;
  /** The protocols that its ALPN offers. */
  alpn: readonly string[];
}

/** Where arrivals go: to TLS in this process, or to another process of this relay. */
export interface Onward {
  /** To the relay's own name. */
  enterOwn(arrival: Arrival): void;
  /** To the tunnel with this label, if there is one. */
  enterTunnel(arrival: Arrival, label: string): void;
  /** To the rendezvous of two members. */
  enterRendezvous(arrival: Arrival, place: RendezvousPlace): void;
}

export interface FrontDoorOptions {
  domain: string;
  pending: PendingConnections;
  onward: Onward;
  /** Names that the operator has blocked are unknown ones. */
  blocks: Pick<Blocks, 'hasName'>;
  unknownNames: NameRefusal['unknownNames'];
  clock: Pick<Clock, 'soon' | 'after'>;
  log: Logger;
}

export class FrontDoor {
  readonly #options: FrontDoorOptions;
  readonly #hellos: HelloTurns;

  constructor(options: FrontDoorOptions) {
    this.#options = options;
    this.#hellos = new HelloTurns(options.clock);
  }

  /** Takes a connection that was just accepted. Never throws. */
  accept = (raw: Socket): void => this.acceptFor(raw, undefined);

  /** @param only the tunnel to which the port of this connection belongs; undefined: the port is for all names. */
  acceptFor(raw: Socket, only: OnlyTunnel | undefined): void {
    const connection = this.#options.pending.admit(raw);
    if (connection === undefined) return;
    const hello = new Hello(connection, this.#hellos);
    // A function literal that is assigned to a property lives until a full collection (bytes/let-go.ts), so it is passed on.
    hello.read((head, result) => this.#lead(connection, head, only, result));
  }

  #lead(
    connection: PendingConnection,
    head: Buffer,
    only: OnlyTunnel | undefined,
    result: ClientHelloAnswer,
  ): void {
    const {raw, peer} = connection;
    const {domain, onward, blocks, log} = this.#options;
    if (result.state === 'refused') {
      log.debug('no ClientHello', {from: peer.address, reason: result.reason});
      if (result.reason === 'http') raw.end(PLAIN_HTTP_ANSWER, () => raw.destroy());
      else raw.destroy();
      return;
    }
    connection.named();
    // Visitors of an address send no name, and some programs send none for `localhost`.
    const name = result.serverName ?? only?.host;
    const {alpn} = result;
    if (name === domain && only === undefined) {
      onward.enterOwn({connection, head, name, alpn});
      return;
    }
    const place = name === undefined || only !== undefined ? undefined : rendezvousIn(name, domain);
    if (place !== undefined && name !== undefined) {
      if (connection.secures('own')) onward.enterRendezvous({connection, head, name, alpn}, place);
      return;
    }
    const label = labelOf(name, domain, only);
    if (label !== undefined && name !== undefined && !blocks.hasName(`tls:${label}`)) {
      onward.enterTunnel({connection, head, name, alpn}, label);
      return;
    }
    refuseName({connection, name}, this.#options);
  }
}

/** The label of the tunnel that the visitor wants. At a port with only one it has its own name and those of the port. */
function labelOf(name: string | undefined, domain: string, only: OnlyTunnel | undefined): string | undefined {
  const label = name === undefined ? undefined : labelUnder(name, domain);
  if (only === undefined || label === only.label) return label;
  return name !== undefined && (name === only.host || name === only.alias) ? only.label : undefined;
}

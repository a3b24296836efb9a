// The relay's one TLS port: reads the name that a connection asks for, and passes the connection to the relay's own site or
// to a tunnel, or ends it.

import type {Socket} from 'node:net';
import type {TLSSocket} from 'node:tls';
import type {ClientHelloAnswer} from '../../bytes/client-hello.js';
import type {Clock} from '../../core/clock.js';
import {systemCode} from '../../core/errors.js';
import {LOCAL_HOST} from '../../core/localhost.js';
import type {Logger} from '../../core/logger.js';
import {labelUnder} from '../../protocol/names.js';
import type {CertificateSource} from '../certificates/certificates.js';
import type {RelayEvents} from '../events.js';
import type {Tunnel, TunnelTable} from '../tunnels/tunnel-table.js';
import type {Visitors} from '../visitors/visitors.js';
import type {WaitingRoom} from '../visitors/waiting-room.js';
import {FairTurns} from './fair-turns.js';
import {Hello} from './hello.js';
import {HelloTurns} from './hello-turns.js';
import type {PendingConnection, PendingConnections} from './pending.js';
import {terminateTls} from './terminate.js';
import {sayUnknownName} from './unknown-name.js';

/** The answer to plain HTTP on this port: the client should use https://. */
const PLAIN_HTTP_ANSWER =
  'HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis port speaks TLS: use https://\n';

/** A handshake costs a signature, about a millisecond on a slow machine. Many of them must not delay the bytes of others. */
const HANDSHAKES_A_TURN = 3;

export interface FrontDoorOptions {
  domain: string;
  certificates: CertificateSource;
  tunnels: TunnelTable;
  visitors: Visitors;
  waitingRoom: WaitingRoom;
  pending: PendingConnections;
  /** Takes a connection to the relay's own name. */
  onOwn: (socket: TLSSocket, connection: PendingConnection) => void;
  clock: Pick<Clock, 'soon' | 'after'>;
  events: Pick<RelayEvents, 'emit'>;
  log: Logger;
}

/** A connection whose ClientHello was read. */
interface Arrival {
  connection: PendingConnection;
  /** All bytes so far; TLS needs them again. */
  head: Buffer;
  /** The label of the only tunnel at its port. */
  local: string | undefined;
}

export class FrontDoor {
  readonly #options: FrontDoorOptions;
  readonly #hellos: HelloTurns;
  readonly #handshakes: FairTurns;

  constructor(options: FrontDoorOptions) {
    this.#options = options;
    this.#hellos = new HelloTurns(options.clock);
    this.#handshakes = new FairTurns({perTurn: HANDSHAKES_A_TURN, clock: options.clock});
  }

  /** Takes a connection that was just accepted. Never throws. */
  accept = (raw: Socket): void => this.acceptFor(raw, undefined);

  /** @param local the label of the tunnel to which the port of this connection belongs; undefined: the port is for all names. */
  acceptFor(raw: Socket, local: string | undefined): void {
    const connection = this.#options.pending.admit(raw);
    if (connection === undefined) return;
    const hello = new Hello(connection, this.#hellos);
    // A function literal that is assigned to a property lives until a full collection (bytes/let-go.ts), so it is passed on.
    hello.read((head, result) => this.#lead({connection, head, local}, result));
  }

  #lead(arrival: Arrival, result: ClientHelloAnswer): void {
    const {connection, local} = arrival;
    const {raw, peer} = connection;
    const {domain, tunnels, log} = this.#options;
    if (result.state === 'refused') {
      log.debug('no ClientHello', {from: peer.address, reason: result.reason});
      if (result.reason === 'http') raw.end(PLAIN_HTTP_ANSWER, () => raw.destroy());
      else raw.destroy();
      return;
    }
    connection.named();
    // Visitors of an address send no name, and some programs send none for `localhost`.
    const name = result.serverName ?? (local === undefined ? undefined : LOCAL_HOST);
    if (name === domain && local === undefined) {
      if (!connection.secures('own')) return;
      const alpn = result.alpn.some(isHttp) ? ['http/1.1'] : undefined;
      this.#terminate(arrival, {certificate: name, host: name}, alpn, (socket) =>
        this.#options.onOwn(socket, connection),
      );
      return;
    }
    const label = labelOf(name, domain, local);
    if (label === undefined || name === undefined) {
      log.debug('not a name of this relay', {from: peer.address, name});
      sayUnknownName(raw);
      return;
    }
    const enter = (tunnel: Tunnel) => this.#visit(arrival, {name, label, asked: result.alpn, tunnel});
    const tunnel = tunnels.named(label);
    if (tunnel !== undefined) enter(tunnel);
    else if (!this.#options.waitingRoom.wait(`tls:${label}`, raw, enter, sayUnknownName)) {
      log.debug('no tunnel has this name', {from: peer.address, name});
      sayUnknownName(raw);
    }
  }

  #visit(
    arrival: Arrival,
    {name, label, asked, tunnel}: {name: string; label: string; asked: readonly string[]; tunnel: Tunnel},
  ): void {
    const {connection} = arrival;
    if (!connection.secures('visitor')) return;
    const ends = {certificate: name, host: tunnel.host};
    this.#terminate(arrival, ends, alpnFor(asked, tunnel.alpn), (socket) => {
      const alpn = socket.alpnProtocol;
      connection.enter();
      // The tunnel is looked up again, because it may belong to another session after the handshake.
      this.#options.visitors.welcome(this.#options.tunnels.named(label), {
        socket,
        raw: connection.raw,
        peer: connection.peer,
        via: 'tls',
        ...(typeof alpn === 'string' ? {alpn} : {}),
      });
    });
  }

  #terminate(
    {connection, head}: Arrival,
    {certificate: name, host}: {certificate: string; host: string},
    alpn: readonly string[] | undefined,
    onSecure: (socket: TLSSocket) => void,
  ): void {
    const {certificates, events, log} = this.#options;
    const {raw, peer} = connection;
    const fail = (error: unknown) => {
      if (isDistrust(error)) events.emit({type: 'certificate-refused', host, from: peer.address});
      log.debug('no TLS', {
        from: peer.address,
        name,
        reason: error instanceof Error ? error.message : 'closed',
      });
      raw.destroy();
    };
    Promise.resolve(certificates.contextFor(name)).then((context) => {
      this.#handshakes.run(peer.source, () => {
        if (!connection.mayBegin()) return;
        connection.secure = terminateTls({raw, head, context, alpn, onSecure, onFailed: fail});
      });
    }, fail);
  }
}

/** The label of the tunnel that the visitor wants. At a local port there is only one, under its own name and as `localhost`. */
function labelOf(name: string | undefined, domain: string, local: string | undefined): string | undefined {
  const label = name === undefined ? undefined : labelUnder(name, domain);
  if (local === undefined || label === local) return label;
  return name === LOCAL_HOST ? local : undefined;
}

const isHttp = (protocol: string): boolean => protocol === 'h2' || protocol === 'http/1.1';

/**
 * What a visitor of a tunnel may choose from. One that offers no HTTP protocol is no HTTP visitor: the tunnel carries its bytes
 * as well, so its own first protocol is the answer. Database clients with direct TLS end the connection without one.
 */
function alpnFor(asked: readonly string[], offers: readonly string[]): readonly string[] | undefined {
  if (asked.some(isHttp)) return offers;
  // An answer to a certificate authority would say that this relay takes part in its check.
  const [first] = asked;
  const isFine = first !== undefined && /^[\x21-\x7e]{1,32}$/.test(first) && first !== 'acme-tls/1';
  return isFine ? [first] : undefined;
}

/** Alerts about an untrusted certificate: of curl and Python, of Firefox and Go, of Chromium and Java. */
function isDistrust(error: unknown): boolean {
  const alert = /_ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_UNKNOWN)$/;
  return error instanceof Error && alert.test(systemCode(error));
}

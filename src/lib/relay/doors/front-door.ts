// The relay's one TLS port: reads the name that a connection asks for, and passes the connection to the relay's own site or
// to a tunnel, or ends it.

import type {Socket} from 'node:net';
import type {SecureContext, TLSSocket} from 'node:tls';
import type {ClientHelloAnswer} from '../../bytes/client-hello.js';
import type {Clock} from '../../core/clock.js';
import type {Logger} from '../../core/logger.js';
import {labelUnder} from '../../protocol/names.js';
import type {CertificateSource} from '../certificates/certificates.js';
import type {RelayEvents} from '../events.js';
import type {Tunnel, TunnelTable} from '../tunnels/tunnel-table.js';
import {AT_ONCE_MS, type Visitors} from '../visitors/visitors.js';
import type {WaitingRoom} from '../visitors/waiting-room.js';
import {
  DISTRUSTED,
  isDistrust,
  isHttp,
  isSilent,
  LEFT_AT_ONCE,
  NEEDS_H2,
  NEEDS_HTTP1,
  refusedProtocol,
} from './distrust.js';
import {FairTurns} from './fair-turns.js';
import {Hello} from './hello.js';
import {HelloTurns} from './hello-turns.js';
import type {OnlyTunnel} from './local-doors.js';
import type {PendingConnection, PendingConnections} from './pending.js';
import {type TerminateOptions, terminateTls} from './terminate.js';
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
  clock: Pick<Clock, 'soon' | 'after' | 'now'>;
  events: Pick<RelayEvents, 'emit'>;
  log: Logger;
}

/** A connection whose ClientHello was read. */
interface Arrival {
  connection: PendingConnection;
  /** All bytes so far; TLS needs them again. */
  head: Buffer;
  /** The only tunnel at its port. */
  only: OnlyTunnel | undefined;
}

/** What follows a handshake, and its failure. */
interface Ends extends Pick<TerminateOptions, 'onSecure' | 'onFailed' | 'onBroken'> {
  /** The turn of the handshake has come. */
  onBegun?: () => void;
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

  /** @param only the tunnel to which the port of this connection belongs; undefined: the port is for all names. */
  acceptFor(raw: Socket, only: OnlyTunnel | undefined): void {
    const connection = this.#options.pending.admit(raw);
    if (connection === undefined) return;
    const hello = new Hello(connection, this.#hellos);
    // A function literal that is assigned to a property lives until a full collection (bytes/let-go.ts), so it is passed on.
    hello.read((head, result) => this.#lead({connection, head, only}, result));
  }

  #lead(arrival: Arrival, result: ClientHelloAnswer): void {
    const {connection, only} = arrival;
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
    const name = result.serverName ?? only?.host;
    if (name === domain && only === undefined) {
      if (!connection.secures('own')) return;
      const alpn = result.alpn.some(isHttp) ? ['http/1.1'] : undefined;
      this.#terminate(
        arrival,
        {name, alpn},
        {
          onSecure: (socket) => this.#options.onOwn(socket, connection),
          onFailed: (error) => {
            if (isDistrust(error)) this.#report('certificate-refused', name, peer.address);
          },
        },
      );
      return;
    }
    const label = labelOf(name, domain, only);
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
    const {certificates, tunnels, visitors, clock} = this.#options;
    const {address} = connection.peer;
    if (!connection.secures('visitor')) return;
    const refused = refusedProtocol(asked, tunnel.alpn);
    if (refused !== undefined) this.#refuses(tunnel, refused, address);
    const {host} = tunnel;
    const onDistrust = (error: Error | undefined) => {
      if (!isDistrust(error)) return;
      this.#report('certificate-refused', host, address);
      tunnel.warn('CERTIFICATE_REFUSED', DISTRUSTED);
    };
    const onLeftAtOnce = () => {
      this.#report('visitor-left-at-once', host, address);
      tunnel.warn('CERTIFICATE_REFUSED', LEFT_AT_ONCE);
    };
    // Programs that only look whether a relay is there are as silent.
    const isDoubtful = certificates.isDoubtful(host);
    let since = clock.now();
    this.#terminate(
      arrival,
      {name, owner: tunnel.owner, alpn: alpnFor(asked, tunnel.alpn)},
      {
        onBegun: () => {
          since = clock.now();
        },
        onSecure: (socket) => {
          const alpn = socket.alpnProtocol;
          connection.enter();
          // The tunnel is looked up again, because it may belong to another session after the handshake.
          visitors.welcome(tunnels.named(label), {
            socket,
            raw: connection.raw,
            peer: connection.peer,
            via: 'tls',
            ...(typeof alpn === 'string' ? {alpn} : {}),
            ...(isDoubtful && {onLeftAtOnce}),
          });
        },
        onFailed: (error) => {
          onDistrust(error);
          const atOnce = isDoubtful && !connection.cut && clock.now() - since < AT_ONCE_MS;
          if (atOnce && refused === undefined && isSilent(error)) onLeftAtOnce();
        },
        onBroken: onDistrust,
      },
    );
  }

  #refuses(tunnel: Tunnel, offered: 'h2' | 'http/1.1', from: string): void {
    this.#options.events.emit({type: 'protocol-refused', host: tunnel.host, from, offered});
    if (offered === 'h2') tunnel.warn('VISITOR_NEEDS_H2', NEEDS_H2);
    else tunnel.warn('VISITOR_NEEDS_HTTP1', NEEDS_HTTP1);
  }

  #report(type: 'certificate-refused' | 'visitor-left-at-once', host: string, from: string): void {
    this.#options.events.emit({type, host, from});
  }

  #terminate(
    {connection, head}: Arrival,
    {name, owner, alpn}: {name: string; owner?: string; alpn: readonly string[] | undefined},
    {onBegun, onSecure, onFailed, onBroken}: Ends,
  ): void {
    const {certificates, log} = this.#options;
    const {raw, peer} = connection;
    const fail = (error: unknown) => {
      onFailed(error instanceof Error ? error : undefined);
      log.debug('no TLS', {
        from: peer.address,
        name,
        reason: error instanceof Error ? error.message : 'closed',
      });
      raw.destroy();
    };
    const begin = (context: SecureContext) =>
      this.#handshakes.run(peer.source, () => {
        if (!connection.mayBegin()) return;
        onBegun?.();
        connection.secure = terminateTls({raw, head, context, alpn, onSecure, onFailed: fail, onBroken});
      });
    // Nearly always the context is there, and the handshake begins in the same turn.
    const context = certificates.contextFor(name, owner);
    if (context instanceof Promise) context.then(begin, fail);
    else begin(context);
  }
}

/** The label of the tunnel that the visitor wants. At a port with only one it has its own name and those of the port. */
function labelOf(name: string | undefined, domain: string, only: OnlyTunnel | undefined): string | undefined {
  const label = name === undefined ? undefined : labelUnder(name, domain);
  if (only === undefined || label === only.label) return label;
  return name !== undefined && (name === only.host || name === only.alias) ? only.label : undefined;
}

/**
 * The protocols that a visitor of a tunnel may choose from. One that offers no HTTP protocol is no HTTP visitor: the tunnel carries its bytes
 * as well, so its own first protocol is the answer. Database clients with direct TLS end the connection without one.
 */
function alpnFor(asked: readonly string[], offers: readonly string[]): readonly string[] | undefined {
  if (asked.some(isHttp)) return offers;
  // An answer to a certificate authority would say that this relay takes part in its check.
  const [first] = asked;
  const isFine = first !== undefined && /^[\x21-\x7e]{1,32}$/.test(first) && first !== 'acme-tls/1';
  return isFine ? [first] : undefined;
}

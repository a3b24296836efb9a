// Ends the TLS of arrivals in this process, and passes them to the relay's own site or to a tunnel.

import type {SecureContext, TLSSocket} from 'node:tls';
import type {Clock} from '../../core/clock.js';
import type {Logger} from '../../core/logger.js';
import {PROBE_PROTOCOL} from '../../protocol/probe.js';
import type {RendezvousPlace} from '../../protocol/rendezvous.js';
import type {CertificateSource} from '../certificates/certificates.js';
import type {RelayEvents} from '../events.js';
import type {VisitorLimits} from '../limits/visitor-limits.js';
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
import type {Arrival, Onward} from './front-door.js';
import type {PendingConnection} from './pending-connection.js';
import {type NameRefusal, refuseName} from './refuse-name.js';
import {type TerminateOptions, terminateTls} from './terminate.js';
import {sayAccessDenied, sayUnknownName} from './tls-alerts.js';

/** A handshake costs a signature, about a millisecond on a slow machine. Many of them must not delay the bytes of others. */
const HANDSHAKES_A_TURN = 3;

const NOTHING = Buffer.alloc(0);

export interface SecureDoorOptions {
  certificates: CertificateSource;
  tunnels: TunnelTable;
  visitors: Visitors;
  limits: Pick<VisitorLimits, 'admits'>;
  waitingRoom: WaitingRoom;
  networks: {rendezvous: {enter(connection: PendingConnection, head: Buffer, place: RendezvousPlace): void}};
  unknownNames: NameRefusal['unknownNames'];
  /** Takes a connection to the relay's own name. */
  onOwn: (socket: TLSSocket, connection: PendingConnection) => void;
  clock: Pick<Clock, 'soon' | 'now'>;
  events: Pick<RelayEvents, 'emit'>;
  log: Logger;
}

/** The calls after a handshake, and after its failure. */
interface Ends extends Pick<TerminateOptions, 'onSecure' | 'onFailed' | 'onBroken'> {
  /** The turn of the handshake has come. */
  onBegun?: () => void;
}

export class SecureDoor implements Onward {
  readonly #options: SecureDoorOptions;
  readonly #handshakes: FairTurns;

  constructor(options: SecureDoorOptions) {
    this.#options = options;
    this.#handshakes = new FairTurns({perTurn: HANDSHAKES_A_TURN, clock: options.clock});
  }

  enterOwn(arrival: Arrival): void {
    const {connection, name} = arrival;
    if (!connection.secures('own')) return;
    const alpn = arrival.alpn.some(isHttp) ? ['http/1.1'] : undefined;
    this.#terminate(
      arrival,
      {alpn},
      {
        onSecure: (socket) => this.#options.onOwn(socket, connection),
        onFailed: (error) => {
          if (isDistrust(error)) this.#report('certificate-refused', name, connection.peer.address);
        },
      },
    );
  }

  enterRendezvous({connection, head}: Arrival, place: RendezvousPlace): void {
    this.#options.networks.rendezvous.enter(connection, head, place);
  }

  enterTunnel(arrival: Arrival, label: string): void {
    const {connection} = arrival;
    const {tunnels, waitingRoom} = this.#options;
    const enter = (tunnel: Tunnel) => this.#visit(arrival, label, tunnel);
    const tunnel = tunnels.named(label);
    if (tunnel !== undefined) enter(tunnel);
    else if (!waitingRoom.wait(`tls:${label}`, connection.raw, enter, sayUnknownName)) {
      refuseName(arrival, this.#options);
    }
  }

  #visit(arrival: Arrival, label: string, tunnel: Tunnel): void {
    const {connection, alpn: asked} = arrival;
    const {certificates, tunnels, visitors, limits, clock} = this.#options;
    const {address} = connection.peer;
    if (!visitors.admits(tunnel, connection.peer)) {
      sayAccessDenied(connection.raw);
      return;
    }
    // Before the handshake, so that a refusal costs no signature.
    const isProbe = asked.includes(PROBE_PROTOCOL);
    if (!limits.admits(tunnel, connection.peer, isProbe)) {
      connection.end();
      return;
    }
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
      {owner: tunnel.owner, alpn: alpnFor(asked, tunnel.alpn), isProbe},
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
            alpn: typeof alpn === 'string' ? alpn : undefined,
            onLeftAtOnce: isDoubtful ? onLeftAtOnce : undefined,
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
    arrival: Arrival,
    {owner, alpn, isProbe = false}: {owner?: string; alpn: readonly string[] | undefined; isProbe?: boolean},
    {onBegun, onSecure, onFailed, onBroken}: Ends,
  ): void {
    const {certificates, log} = this.#options;
    const {connection, name} = arrival;
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
        if (connection.over) return false;
        if (!connection.mayBegin()) return true;
        onBegun?.();
        const {head} = arrival;
        // The functions here live as long as the connection, which can be days.
        arrival.head = NOTHING;
        connection.secure = terminateTls({raw, head, context, alpn, onSecure, onFailed: fail, onBroken});
        return true;
      });
    // Nearly always the context is there, and the handshake begins in the same turn.
    const context = isProbe
      ? certificates.contextForProbe(name, owner)
      : certificates.contextFor(name, owner);
    if (context instanceof Promise) context.then(begin, fail);
    else begin(context);
  }
}

/**
 * The protocols that a visitor of a tunnel may choose from. One that offers no HTTP protocol is no HTTP visitor: the tunnel
 * carries its bytes as well, so its own first protocol is the answer. Database clients with direct TLS end the connection
 * without one.
 */
function alpnFor(asked: readonly string[], offers: readonly string[]): readonly string[] | undefined {
  if (asked.some(isHttp)) return offers;
  // An answer to a certificate authority would say that this relay takes part in its check.
  const [first] = asked;
  const isFine = first !== undefined && /^[\x21-\x7e]{1,32}$/.test(first) && first !== 'acme-tls/1';
  return isFine ? [first] : undefined;
}

// Pairs of carriers over real TLS sockets on loopback, a sink that records events, and a peer made of bytes.
import {once} from 'node:events';
import tls, {type TLSSocket} from 'node:tls';
import {WebSocketCarrier, type WebSocketCarrierOptions} from '../../src/lib/carrier/ws-carrier.js';
import type {Role} from '../../src/lib/carrier/ws-frames.js';
import type {Carrier, CarrierSink} from '../../src/lib/mux/carrier.js';
import {createAuthority, type KeyAndCertificate} from './certificates.js';
import type {Scope} from './scope.js';

export interface TlsIdentity extends KeyAndCertificate {
  ca: string;
}

let identity: Promise<TlsIdentity> | undefined;

/** One certificate for loopback and the `*.localhost` names of the tests, made once for each process. */
export function testIdentity(): Promise<TlsIdentity> {
  identity ??= createAuthority().then(async (authority) => ({
    ca: authority.cert,
    ...(await authority.issue(['localhost', 'relay.localhost', '127.0.0.1', '::1'])),
  }));
  return identity;
}

/** Two connected TLS sockets without listeners, as after an upgrade. */
export async function tlsPair(scope: Scope): Promise<Record<Role, TLSSocket>> {
  const {ca, key, cert} = await testIdentity();
  const server = tls.createServer({key, cert});
  // As with an http server: the peer's FIN does not end our side automatically.
  Object.assign(server, {allowHalfOpen: true});
  const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
  const agent = tls.connect({host: '127.0.0.1', port: await scope.listen(server), ca});
  scope.onEnd(() => void agent.destroy());
  await once(agent, 'secureConnect');
  const [relay] = await accepted;
  scope.onEnd(() => void relay.destroy());
  return {agent, relay};
}

type Tuning = Omit<WebSocketCarrierOptions, 'socket' | 'role'>;

/** A carrier of the role, and the raw socket at its other end. */
export async function carrierAndPeer(scope: Scope, role: Role, options: Tuning = {}) {
  const pair = await tlsPair(scope);
  const socket = pair[role];
  const peer = pair[role === 'agent' ? 'relay' : 'agent'];
  return {carrier: new WebSocketCarrier({...options, socket, role}), socket, peer};
}

export async function carrierPair(scope: Scope, options: Tuning = {}) {
  const sockets = await tlsPair(scope);
  return {
    sockets,
    agent: new WebSocketCarrier({...options, socket: sockets.agent, role: 'agent'}),
    relay: new WebSocketCarrier({...options, socket: sockets.relay, role: 'relay'}),
  };
}

/** Records a carrier's events; waits for them. */
export class SinkLog implements CarrierSink {
  readonly pieces: Buffer[] = [];
  bytes = 0;
  drains = 0;
  closes: (Error | undefined)[] = [];
  /** Called with each piece, after it was recorded. */
  onPiece: ((piece: Buffer) => void) | undefined;
  readonly #wake = new Set<() => void>();

  onData(chunk: Buffer): void {
    this.pieces.push(chunk);
    this.bytes += chunk.length;
    this.#changed();
    this.onPiece?.(chunk);
  }

  onDrain(): void {
    this.drains += 1;
    this.#changed();
  }

  onClose(error: Error | undefined): void {
    this.closes.push(error);
    this.#changed();
  }

  get data(): Buffer {
    return Buffer.concat(this.pieces);
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#wake.add(resolve));
  }

  received(bytes: number): Promise<void> {
    return this.until(() => this.bytes >= bytes);
  }

  /** The argument of `onClose`. */
  async closed(): Promise<Error | undefined> {
    await this.until(() => this.closes.length > 0);
    return this.closes[0];
  }

  #changed(): void {
    for (const wake of this.#wake) wake();
    this.#wake.clear();
  }
}

export function listenTo(carrier: Carrier): SinkLog {
  const log = new SinkLog();
  carrier.start(log);
  return log;
}

/** Writes a copy of the bytes as one block; resolves when the carrier gives the block back. */
export function send(carrier: Carrier, bytes: Uint8Array): Promise<void> {
  const block = Buffer.alloc(carrier.headroom + bytes.length);
  block.set(bytes, carrier.headroom);
  return new Promise((resolve) => carrier.write(block, carrier.headroom, block.length, resolve));
}

// TLS 1.3 between two members, over a stream of the relay, a Unix socket or a TCP socket. Each side proves that it has the key of
// its address. No authority is involved, so nobody else can vouch for a member: not the relay either.
//
// TLS over a stream costs several times as much as over a socket. There it gives the keys, and the members' bytes follow in
// records of their own (`EncryptedCarrier`).

import type {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import type {SecureContext, TLSSocket} from 'node:tls';
import {EncryptedCarrier} from '../carrier/encrypted-carrier.js';
import {exportKey} from '../carrier/export-key.js';
import {SECRET_BYTES} from '../carrier/record-keys.js';
import {SocketCarrier} from '../carrier/socket-carrier.js';
import type {Clock} from '../core/clock.js';
import {systemCode, TunlError} from '../core/errors.js';
import {tls} from '../core/node-tls.js';
import type {BlockPool} from '../mux/blocks.js';
import type {Carrier} from '../mux/carrier.js';
import {HandshakeStream} from './handshake-stream.js';
import {type MemberKey, rawKey} from './member-key.js';

export const MEMBER_ALPN = 'tunl-member';
/** The same, and both know the records that follow TLS. Offered on streams; the handshake protects the choice. */
export const RECORDS_ALPN = 'tunl-member-records';

/** RFC 8446 §7.5. */
const RECORDS_LABEL = 'EXPORTER-tunl-member-records';

/** For the whole handshake, ms. A relay far away, and a busy machine at each end. */
const HANDSHAKE_MS = 10_000;

export interface SecureOptions {
  key: MemberKey;
  /** The side that accepts the connection. */
  isAcceptor: boolean;
  /** Whether the other side may have this raw public key. It may take a moment to answer. */
  accepts: (raw: Buffer) => boolean | Promise<boolean>;
  timeoutMs?: number;
  signal?: AbortSignal | undefined;
}

export interface SecuredMember {
  readonly socket: TLSSocket;
  /** The raw public key of the other side, which it has proved to have. */
  readonly raw: Buffer;
  /**
   * The carrier that follows the lines of both sides. This side has nothing more to say in TLS, and has read the other one's last line.
   *
   * @throws TunlError MEMBER_UNREACHABLE when the connection is over
   */
  begin(shared: {clock: Clock; pool: BlockPool}): Carrier;
}

/**
 * Takes over `duplex`: it is destroyed when this rejects. The TLS socket has no listeners.
 *
 * @throws TunlError MEMBER_UNPROVEN, MEMBER_UNREACHABLE, ABORTED
 */
export async function secureMember(duplex: Duplex, options: SecureOptions): Promise<SecuredMember> {
  const {key, isAcceptor, accepts, timeoutMs = HANDSHAKE_MS, signal} = options;
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const broken = (error?: Error) => failed.reject(unreachable(error));
  duplex.once('error', broken);
  duplex.once('close', broken);
  const socket = wrap(duplex, key.context(), isAcceptor);
  socket.on('error', broken);
  socket.once('close', broken);
  const abort = () => failed.reject(new TunlError('ABORTED'));
  signal?.addEventListener('abort', abort, {once: true});
  const timer = setTimeout(() => failed.reject(unreachable(undefined, 'did not answer in time')), timeoutMs);
  try {
    if (signal?.aborted) abort();
    const secure = Promise.withResolvers<void>();
    socket.once(isAcceptor ? 'secure' : 'secureConnect', secure.resolve);
    await Promise.race([secure.promise, failed.promise]);
    const raw = keyOf(socket);
    if (raw === undefined || !(await Promise.race([accepts(raw), failed.promise]))) throw unproven();
    socket.off('error', broken);
    socket.off('close', broken);
    return {socket, raw, begin: (shared) => begin(socket, duplex, {isAcceptor, ...shared})};
  } catch (error) {
    socket.on('error', () => {});
    duplex.on('error', () => {});
    socket.destroy();
    duplex.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
    duplex.off('error', broken);
    duplex.off('close', broken);
    // A duplex that is no socket breaks without telling its TLS.
    duplex.on('error', () => {});
    duplex.once('close', () => socket.destroy());
  }
}

function wrap(duplex: Duplex, secureContext: SecureContext, isServer: boolean): TLSSocket {
  const ALPNProtocols = duplex instanceof HandshakeStream ? [RECORDS_ALPN, MEMBER_ALPN] : [MEMBER_ALPN];
  const both = {secureContext, rejectUnauthorized: false, ALPNProtocols};
  if (!isServer) return tls.connect({...both, socket: duplex, servername: ''});
  return new tls.TLSSocket(duplex as Socket, {...both, isServer, requestCert: true});
}

/** Undefined: it has not shown a key of the right kind, or it speaks something else. */
function keyOf(socket: TLSSocket): Buffer | undefined {
  if (socket.alpnProtocol !== MEMBER_ALPN && socket.alpnProtocol !== RECORDS_ALPN) return undefined;
  if (socket.getProtocol() !== 'TLSv1.3') return undefined;
  // A resumed handshake shows no certificate, and nobody here resumes one.
  if (socket.isSessionReused()) return undefined;
  const key = socket.getPeerX509Certificate()?.publicKey;
  return key && rawKey(key);
}

function begin(
  socket: TLSSocket,
  duplex: Duplex,
  {isAcceptor, clock, pool}: {isAcceptor: boolean; clock: Clock; pool: BlockPool},
): Carrier {
  if (!(duplex instanceof HandshakeStream) || socket.alpnProtocol !== RECORDS_ALPN)
    return new SocketCarrier({socket, clock});
  if (socket.destroyed) throw unreachable(undefined);
  // Bytes of TLS behind the line have no place any more.
  if (socket.readableLength > 0)
    throw new TunlError('PROTOCOL', {reason: 'The member said too much in TLS.'});
  const secrets = exportKey(socket, RECORDS_LABEL, 2 * SECRET_BYTES) as Buffer;
  const ofDialler = secrets.subarray(0, SECRET_BYTES);
  const ofAcceptor = secrets.subarray(SECRET_BYTES);
  const carrier = duplex.takeOver(clock);
  socket.on('error', () => {});
  socket.destroy();
  return new EncryptedCarrier({
    carrier,
    pool,
    sendSecret: isAcceptor ? ofAcceptor : ofDialler,
    receiveSecret: isAcceptor ? ofDialler : ofAcceptor,
  });
}

const unproven = () =>
  new TunlError('MEMBER_UNPROVEN', {
    reason: 'The other side does not have the key of the member’s address.',
  });

function unreachable(error: Error | undefined, what?: string): TunlError {
  if (error instanceof TunlError) return error;
  const why =
    what ??
    (error === undefined
      ? 'closed the connection'
      : `broke the connection (${systemCode(error) || error.message})`);
  return new TunlError('MEMBER_UNREACHABLE', {reason: `The member ${why}.`, cause: error});
}

// The rendezvous of two members at their relay: each has a TCP connection there, and the relay joins both. Their TLS is in it as on
// a direct way, so the relay decrypts nothing. A member stream without content stands for it: both end together.

import type {Socket} from 'node:net';
import {StreamDuplex} from '../bytes/stream-duplex.js';
import {TunlError, toTunlError} from '../core/errors.js';
import type {Stream} from '../mux/stream.js';
import type {RelayLink} from '../open-link.js';
import type {MemberOpen} from '../protocol/network-messages.js';
import {type RendezvousPlace, readRendezvousLine, rendezvousHello} from '../protocol/rendezvous.js';
import {KIND} from '../protocol/wire.js';
import {readJsonLine, writeLine} from './line-of.js';
import {relayNameOf} from './network-names.js';

/** For the line of the other member, and for each connection to the relay, ms. */
const STEP_MS = 5_000;
const LAST_BYTES_MS = 1_000;

type Link = Pick<RelayLink, 'relay' | 'connect' | 'dialPort'>;

/**
 * Asks for a rendezvous and comes to it. The other member may come later.
 *
 * @throws TunlError ABORTED, MEMBER_UNREACHABLE, RELAY_*, PROXY_FAILED, or why the relay or the member refuses
 */
export async function openRendezvous(
  link: Link,
  about: Omit<MemberOpen, 'port' | 'rendezvous'>,
  signal: AbortSignal,
): Promise<Socket> {
  const duplex = await link.connect(KIND.member, {...about, port: 0, rendezvous: true}, {signal});
  try {
    const id = readRendezvousLine(await readJsonLine(duplex, STEP_MS));
    return await comeTo(link, {side: 'opener', id}, {duplex, signal});
  } catch (error) {
    duplex.on('error', () => {}).destroy();
    throw toTunlError(error, 'MEMBER_UNREACHABLE');
  }
}

export interface Asked {
  readonly link: Pick<Link, 'relay' | 'dialPort'>;
  readonly stream: Stream;
  readonly id: string;
}

/** Comes to the rendezvous that another member has asked for. Never rejects. @param take gets the connection */
export async function takeRendezvous(
  {link, stream, id}: Asked,
  take: (socket: Socket) => Promise<void>,
): Promise<void> {
  const duplex = new StreamDuplex(stream);
  stream.accept();
  const gone = new AbortController();
  duplex.once('close', () => gone.abort());
  duplex.on('error', () => {});
  try {
    await writeLine(duplex, {rendezvous: id}, STEP_MS);
    await take(await comeTo(link, {side: 'target', id}, {duplex, signal: gone.signal}));
  } catch {
    duplex.destroy();
  }
}

async function comeTo(
  link: Asked['link'],
  place: RendezvousPlace,
  {duplex, signal}: {duplex: StreamDuplex; signal: AbortSignal},
): Promise<Socket> {
  const socket = await link.dialPort({signal, timeoutMs: STEP_MS});
  socket.write(rendezvousHello(place, relayNameOf(link)));
  // The end of the stream may overtake the last bytes of the connection.
  let timer: NodeJS.Timeout | undefined;
  const end = () => {
    timer ??= setTimeout(() => socket.destroy(), LAST_BYTES_MS).unref();
  };
  duplex.on('error', end).on('end', end).on('close', end).resume();
  socket.once('close', () => {
    clearTimeout(timer);
    duplex.destroy();
  });
  if (duplex.destroyed) {
    socket.destroy();
    throw new TunlError('MEMBER_UNREACHABLE', {reason: 'The rendezvous at the relay has ended.'});
  }
  return socket;
}

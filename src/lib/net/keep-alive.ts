// TCP keepalive: a peer that has vanished without a word is found in about a minute, although nothing is sent.
//
// It says nothing while bytes are on their way: then the kernel's own retries decide (15 minutes on Linux). The option for
// that, TCP_USER_TIMEOUT, cannot be set from Node without native code.

import {Socket} from 'node:net';

export const KEEP_ALIVE_MS = 30_000;

/** The peer is asked again so often, ms: few enough times that a phone may be without a network for half a minute. */
const PROBE_EVERY_MS = 10_000;
const PROBES = 3;
/** Older versions of Node ask ten times, a second apart, whatever they are told. */
const BEFORE_QUICK_PROBES_MS = PROBE_EVERY_MS * (PROBES - 1);

type SetKeepAlive = (on: boolean, delayMs: number, intervalMs?: number, count?: number) => Socket;

const HAS_PROBES = Socket.prototype.setKeepAlive.length >= 4;

/** For a connected socket. `quietMs`: how long nothing comes before the peer is asked. */
export function keepAlive(socket: Socket, quietMs: number = KEEP_ALIVE_MS): void {
  const set = socket.setKeepAlive as SetKeepAlive;
  if (HAS_PROBES) set.call(socket, true, quietMs, PROBE_EVERY_MS, PROBES);
  else set.call(socket, true, quietMs + BEFORE_QUICK_PROBES_MS);
}

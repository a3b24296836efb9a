// TCP keepalive finds a peer that has vanished without closing, although no data is sent.
//
// It does not work while sent bytes are unacknowledged: then the kernel's retries decide (15 minutes on Linux). The option for
// that, TCP_USER_TIMEOUT, cannot be set from Node without native code.

import {Socket} from 'node:net';

/** A dead peer is found after twice as long. */
export const KEEP_ALIVE_MS = 30_000;

/** Few probes, far apart: a phone may be without a network for a while. */
const PROBES = 3;
const SHORTEST_INTERVAL_MS = 1_000;

type SetKeepAlive = (on: boolean, delayMs: number, intervalMs?: number, count?: number) => Socket;

/** Older versions of Node ask ten times, a second apart, whatever they are told. */
const TAKES_INTERVALS = Socket.prototype.setKeepAlive.length >= 4;
const FIXED_PROBES_MS = 10_000;

/** Connections that are over sooner than this need no keepalive: it costs three system calls for each, ms. */
const YOUNG_MS = 1_000;

/** Sockets of the last YOUNG_MS. They are the process's, whoever of it made them. */
let young: Array<readonly [socket: Socket, quietMs: number]> = [];

/**
 * For a connected socket; takes effect within two seconds.
 *
 * @param quietMs after this much silence the kernel probes the peer, three times within the same time. 0: never.
 */
export function keepAlive(socket: Socket, quietMs: number = KEEP_ALIVE_MS): void {
  if (quietMs === 0) return;
  if (young.length === 0) setTimeout(keepOld, YOUNG_MS).unref();
  young.push([socket, quietMs]);
}

/** The first of them has lived for YOUNG_MS. */
function keepOld(): void {
  const sockets = young;
  young = [];
  for (const [socket, quietMs] of sockets) if (!socket.destroyed) setNow(socket, quietMs);
}

function setNow(socket: Socket, quietMs: number): void {
  const set = socket.setKeepAlive as SetKeepAlive;
  const intervalMs = Math.max(SHORTEST_INTERVAL_MS, quietMs / PROBES);
  if (TAKES_INTERVALS) set.call(socket, true, quietMs, intervalMs, PROBES);
  else set.call(socket, true, Math.max(quietMs, 2 * quietMs - FIXED_PROBES_MS));
}

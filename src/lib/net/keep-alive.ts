// TCP keepalive finds a peer that has vanished without closing, although no data is sent.
//
// It does not work while sent bytes are unacknowledged: then the kernel's retries decide (15 minutes on Linux). The option for
// that, TCP_USER_TIMEOUT, cannot be set from Node without native code.

import {Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {LinkedList, type ListNode} from '../core/linked-list.js';

/** A dead peer is noticed after twice this time. */
export const KEEP_ALIVE_MS = 30_000;

/** Few probes, far apart: a phone may be without a network for a while. */
const PROBES = 3;
const SHORTEST_INTERVAL_MS = 1_000;

/**
 * The method of the handle that Node calls to set it. Node's own method keeps the settings in two properties that other sockets do not have, and Node's
 * code for all sockets becomes slower with each shape of a socket that it sees.
 */
interface Handle {
  setKeepAlive?(on: boolean, delayS: number, intervalS: number, count: number): number;
}

type SetKeepAlive = (on: boolean, delayMs: number, intervalMs?: number, count?: number) => Socket;

/** Older versions of Node probe ten times, a second apart, whatever is set. */
const TAKES_INTERVALS = Socket.prototype.setKeepAlive.length >= 4;
const FIXED_PROBES_MS = 10_000;

/**
 * For a connected socket.
 *
 * @param quietMs after this much silence the kernel probes the peer, three times within the same time. 0: never.
 */
export function keepAlive(socket: Socket, quietMs: number = KEEP_ALIVE_MS): void {
  if (quietMs === 0) return;
  const intervalMs = Math.max(SHORTEST_INTERVAL_MS, quietMs / PROBES);
  const firstMs = TAKES_INTERVALS ? quietMs : Math.max(quietMs, 2 * quietMs - FIXED_PROBES_MS);
  const handle = (socket as unknown as {_handle?: Handle | null})._handle;
  if (handle?.setKeepAlive !== undefined)
    handle.setKeepAlive(true, Math.floor(firstMs / 1_000), Math.floor(intervalMs / 1_000), PROBES);
  else (socket.setKeepAlive as SetKeepAlive).call(socket, true, firstMs, intervalMs, PROBES);
}

/** Keepalive costs three system calls for each socket, so shorter connections do not get it, ms. */
const YOUNG_MS = 1_000;

/** Sets keepalive only for those connections among many short ones that turn out to be long. */
export class KeepAlive {
  readonly #quietMs: number;
  readonly #young = new LinkedList<Socket>();
  #timer: NodeJS.Timeout | undefined;

  constructor(quietMs: number = KEEP_ALIVE_MS) {
    this.#quietMs = quietMs;
  }

  /**
   * Returns the handle for `delete`, which the caller must call when the connection is over. A connection that is no socket of
   * the kernel has none.
   */
  add(socket: Socket): ListNode<Socket>;
  add(socket: Duplex): ListNode<Socket> | undefined;
  add(socket: Duplex): ListNode<Socket> | undefined {
    if (!(socket instanceof Socket)) return undefined;
    if (this.#quietMs > 0) this.#timer ??= setTimeout(this.#settle, YOUNG_MS).unref();
    return this.#young.push(socket);
  }

  delete(handle: ListNode<Socket> | undefined): void {
    if (handle !== undefined) this.#young.delete(handle);
  }

  /** The first one has lived for YOUNG_MS; the newest ones are handled with it. */
  readonly #settle = (): void => {
    this.#timer = undefined;
    for (const socket of this.#young) keepAlive(socket, this.#quietMs);
    this.#young.clear();
  };
}

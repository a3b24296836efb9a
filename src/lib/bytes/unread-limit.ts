// Limits the memory for bytes that one side of many splices does not read: visitors and agents at the relay, upstreams and
// visitors at the agent. Each stream may leave a window unread, and one read of its source may wait for credit, and there can be
// very many streams. All are checked once a second, so the path of each byte needs no counting.

import type {Clock, Timer} from '../core/clock.js';
import {LinkedList, type ListNode} from '../core/linked-list.js';
import type {Logger} from '../core/logger.js';

const LOOK_EVERY_MS = 1_000;
/** The share of the machine's memory that unread bytes may take; an absolute maximum leaves room for the rest of the process. */
const SHARE_OF_MEMORY = 1 / 4;
const MOST_BYTES = 1024 * 1024 * 1024;
/** An unread byte keeps its whole chunk in memory: a TLS record's payload. */
const CHUNK_BYTES = 16 * 1024;

/** The part of a stream that this file needs. */
export interface UnreadStream {
  /** The bytes received from the peer, and the part of them that the socket has not taken. */
  readonly bytesIn: number;
  readonly unreadBytes: number;
  /** The bytes read from the socket, and the part of them that waits for the peer's credit. */
  readonly bytesOut: number;
  readonly heldBytes: number;
}

export interface UnreadHolder {
  readonly stream: UnreadStream;
  /** Ends the stream and frees its memory. */
  cut(): void;
}

/** A holder that is watched: the handle for `delete`. */
export type UnreadHandle = ListNode<Watched>;

interface Watched {
  readonly holder: UnreadHolder;
  /** The bytes that had moved on in each direction at the last check. -1: none yet. */
  read: number;
  sent: number;
  /** The number of checks in a row in which bytes of a direction waited and none had moved on. */
  stillFor: number;
}

export interface UnreadLimitOptions {
  limitBytes: number;
  clock: Clock;
  log: Logger;
}

export class UnreadLimit {
  #options: UnreadLimitOptions;
  readonly #watched = new LinkedList<Watched>();
  /** Streams that are over, and may have bytes in memory. */
  #left: {handle: UnreadHandle; keepsBytes: () => boolean}[] = [];
  #timer: Timer | undefined;
  #full = false;

  constructor(options: UnreadLimitOptions) {
    this.#options = options;
  }

  /** True when the limit is reached although the bytes of all visitors still move: no new visitor gets in. */
  get full(): boolean {
    return this.#full;
  }

  add(holder: UnreadHolder): UnreadHandle {
    if (this.#timer === undefined) this.#lookLater();
    return this.#watched.push({holder, read: -1, sent: -1, stillFor: 0});
  }

  delete(handle: UnreadHandle): void {
    this.#watched.delete(handle);
  }

  /** The stream is over. Its unread bytes still count while `keepsBytes` is true. */
  leave(handle: UnreadHandle, keepsBytes: () => boolean): void {
    this.#left.push({handle, keepsBytes});
  }

  setLimit(limitBytes: number): void {
    this.#options = {...this.#options, limitBytes};
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #lookLater(): void {
    this.#timer = this.#options.clock.after(LOOK_EVERY_MS, () => {
      this.#look();
      this.#timer = undefined;
      if (this.#watched.size > 0) this.#lookLater();
    });
  }

  #look(): void {
    const {limitBytes, log} = this.#options;
    this.#forgetLeft();
    let unread = this.#count();
    if (unread > limitBytes) {
      const still = [...this.#watched].filter(({stillFor}) => stillFor > 0);
      still.sort((a, b) => b.stillFor - a.stillFor || keptBy(b) - keptBy(a));
      let cut = 0;
      for (const watched of still) {
        if (unread <= limitBytes) break;
        unread -= keptBy(watched);
        cut += 1;
        watched.holder.cut();
      }
      if (cut > 0)
        log.warn('connections that did not read were cut off: too many bytes were unread', {cut, limitBytes});
    }
    const full = unread > limitBytes;
    if (full && !this.#full)
      log.warn('no new visitors: the present ones leave too many bytes unread', {
        unread,
        limitBytes,
      });
    this.#full = full;
  }

  #forgetLeft(): void {
    this.#left = this.#left.filter(({handle, keepsBytes}) => {
      if (handle.value.holder.stream.unreadBytes > 0 && keepsBytes()) return true;
      this.#watched.delete(handle);
      return false;
    });
  }

  /**
   * Also finds the streams that have not moved since the last check. Each direction counts for itself: a peer that keeps one of
   * them going must not get away with bytes that wait in the other one.
   */
  #count(): number {
    let sum = 0;
    for (const watched of this.#watched) {
      const {bytesIn, unreadBytes: unread, bytesOut, heldBytes: held} = watched.holder.stream;
      sum += keptBy(watched);
      const read = bytesIn - unread;
      const sent = bytesOut - held;
      const isStill = (unread > 0 && read === watched.read) || (held > 0 && sent === watched.sent);
      watched.stillFor = isStill ? watched.stillFor + 1 : 0;
      watched.read = read;
      watched.sent = sent;
    }
    return sum;
  }
}

/** The memory that a stream's unread bytes hold. */
function keptBy({holder}: Watched): number {
  const {unreadBytes, heldBytes} = holder.stream;
  return (unreadBytes === 0 ? 0 : Math.max(unreadBytes, CHUNK_BYTES)) + heldBytes;
}

/** A quarter of the memory that this process may have, at most 1 GiB. */
export function defaultUnreadLimit(
  totalBytes: number,
  allowedBytes: number = process.constrainedMemory(),
): number {
  return Math.min(MOST_BYTES, Math.floor(memoryOf(totalBytes, allowedBytes) * SHARE_OF_MEMORY));
}

/** The part of the machine's memory that this process may use. */
export function memoryOf(totalBytes: number, allowedBytes: number = process.constrainedMemory()): number {
  return allowedBytes > 0 ? Math.min(allowedBytes, totalBytes) : totalBytes;
}

// The last bytes of a command that has ended. The kernel delivers what a process has written before its end; here the bytes may
// still be on their way through this process, which must not close its connections before they are gone.

import {setTimeout as wait} from 'node:timers/promises';
import {systemClock} from '../core/clock.js';
import type {Stream} from '../mux/stream.js';
import type {Seal} from './seal.js';

export interface Outstanding {
  /** Connections that have not ended in both directions. */
  readonly connections: number;
  /** Bytes that the other side has not acknowledged. */
  readonly bytes: number;
  /** Grows with each byte that goes out, and with the room that the other side gives. */
  readonly moved: number;
}

export function sumOf(all: readonly Outstanding[]): Outstanding {
  const sum = (key: keyof Outstanding) => all.reduce((so, each) => so + each[key], 0);
  return {connections: sum('connections'), bytes: sum('bytes'), moved: sum('moved')};
}

/** The connections of a seal. Those who carry their bytes know which are not acknowledged. */
export const outstandingOf = ({
  connections,
  movedBytes,
}: Pick<Seal, 'connections' | 'movedBytes'>): Outstanding => ({
  connections,
  bytes: 0,
  moved: movedBytes,
});

/** Grows with each byte that a stream sends, and with the credit that it gets: the other side has read as much. */
export function movedOut({bytesOut, heldBytes, sendRoom}: Stream): number {
  const sent = bytesOut - heldBytes;
  return sent + (sent + sendRoom);
}

const isSame = (one: Outstanding, other: Outstanding): boolean =>
  one.connections === other.connections && one.bytes === other.bytes && one.moved === other.moved;

const LOOK_MS = 10;
/** Nothing has changed for so long, ms: the other side keeps its connection, or does not read. */
const QUIET_MS = 3_000;
const MOST_MS = 60_000;

/** Whether to wait on, look by look. */
export class LastBytesWait {
  readonly #began: number;
  #before: Outstanding;
  #changedAt: number;

  constructor(first: Outstanding, now: number) {
    this.#began = now;
    this.#before = first;
    this.#changedAt = now;
  }

  isOver(after: Outstanding, now: number): boolean {
    if (!isSame(this.#before, after)) this.#changedAt = now;
    this.#before = after;
    if (after.connections === 0 && after.bytes === 0) return true;
    return now - this.#changedAt >= QUIET_MS || now - this.#began >= MOST_MS;
  }
}

/** Resolves when nothing is outstanding, when nothing changes any more, or when the signal aborts. */
export async function lastBytes(outstanding: () => Outstanding, signal?: AbortSignal): Promise<void> {
  const waiting = new LastBytesWait(outstanding(), systemClock.now());
  while (!waiting.isOver(outstanding(), systemClock.now()) && !signal?.aborted) await wait(LOOK_MS);
}

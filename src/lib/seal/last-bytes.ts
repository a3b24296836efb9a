// The last bytes of a command that has ended. The kernel delivers what a process has written before its end; here the bytes may
// still be on their way through this process, which must not close its connections before they are gone.

import {setTimeout as wait} from 'node:timers/promises';
import {systemClock} from '../core/clock.js';
import type {Seal} from './seal.js';

export interface Outstanding {
  /** Connections that have not ended in both directions. */
  readonly connections: number;
  /** Bytes that the other side has not acknowledged. */
  readonly bytes: number;
}

export function sumOf(all: readonly Outstanding[]): Outstanding {
  const sum = (key: keyof Outstanding) => all.reduce((so, each) => so + each[key], 0);
  return {connections: sum('connections'), bytes: sum('bytes')};
}

/** The connections of a seal. Their bytes are with those who carry them. */
export const outstandingOf = ({connections}: Pick<Seal, 'connections'>): Outstanding => ({
  connections,
  bytes: 0,
});

const LOOK_MS = 10;
/** Nothing has changed for so long, ms: the other side keeps its connection, or does not read. */
const QUIET_MS = 3_000;
const MOST_MS = 60_000;

/** Resolves when nothing is outstanding, when nothing changes any more, or when the signal aborts. */
export async function lastBytes(outstanding: () => Outstanding, signal?: AbortSignal): Promise<void> {
  const began = systemClock.now();
  let before = outstanding();
  let changedAt = began;
  while (before.connections > 0 || before.bytes > 0) {
    const now = systemClock.now();
    if (signal?.aborted || now - changedAt >= QUIET_MS || now - began >= MOST_MS) return;
    await wait(LOOK_MS);
    const after = outstanding();
    if (after.connections !== before.connections || after.bytes !== before.bytes) changedAt = now;
    before = after;
  }
}

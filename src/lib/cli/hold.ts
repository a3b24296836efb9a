// The lifetime of a command that keeps something open: up, until a signal or its own end, then down in order.

import {keepMemoryFlat} from '../core/collect.js';
import {listenForSignals, type SignalOptions} from './signals.js';
import {onReaderGone} from './stdout.js';

/** A tunnel or a relay. */
export interface Held {
  /** Rejects when it ended by a failure. Absent where only `close` ends it. */
  readonly closed?: Promise<void>;
  close(options: {drainTimeoutMs: number}): Promise<void>;
  /** Ends it at once; `closed` settles when the other side has heard of it. Absent where the end of the process is enough. */
  destroy?(): void;
}

export interface HoldOptions<T extends Held> {
  /** Brings it up; gives up when the signal aborts. */
  open: (signal: AbortSignal) => Promise<T>;
  /** Called when the end was asked for, before it begins. */
  onStop?: (held: T) => void;
  /** Called for a SIGHUP while it is up. */
  onReload?: (held: T) => void;
  /** Called when nobody reads stdout any more, which is the end, too. */
  onReaderGone?: () => void;
  /** Called when the process is about to leave at once. */
  onLeave: () => void;
  drainTimeoutMs: number;
  /** For tests: where signals come from and what leaving means. */
  signals?: Pick<SignalOptions, 'source' | 'now' | 'leave' | 'hasTerminal'>;
}

/** Resolves after an orderly end, rejects with what ended it. */
export async function hold<T extends Held>(options: HoldOptions<T>): Promise<void> {
  const starting = new AbortController();
  let held: T | undefined;
  let stopping: Promise<void> | undefined;
  let told = () => {};
  const asked = new Promise<void>((resolve) => {
    told = resolve;
  });
  const stop = (drainTimeoutMs: number) => {
    if (!held) starting.abort();
    else if (!stopping) {
      options.onStop?.(held);
      stopping = held.close({drainTimeoutMs});
      told();
    }
  };
  let isLeaving = false;
  const leave = () => {
    options.onLeave();
    if (held?.destroy === undefined) return undefined;
    isLeaving = true;
    held.destroy();
    return held.closed?.catch(() => {});
  };
  using _signals = listenForSignals({
    ...options.signals,
    onStop: () => stop(options.drainTimeoutMs),
    onLeave: leave,
    ...(options.onReload && {
      onReload: () => {
        if (held && !stopping) options.onReload?.(held);
      },
    }),
  });
  let isUnread = false;
  // Who wanted the address has gone, with whatever came of it: no reason to wait for anything.
  using _reader = onReaderGone(() => {
    isUnread = true;
    options.onReaderGone?.();
    stop(0);
  });
  try {
    held = await options.open(starting.signal);
  } catch (error) {
    if (isUnread) return;
    throw error;
  }
  keepMemoryFlat();
  // Came up in the very moment in which the end was asked for; visitors may have come already.
  if (starting.signal.aborted) return await held.close({drainTimeoutMs: options.drainTimeoutMs});
  await Promise.race(held.closed ? [held.closed, asked] : [asked]);
  await stopping;
  // Whoever leaves at once ends the process, with an exit code of its own.
  if (isLeaving) await new Promise<never>(() => {});
}

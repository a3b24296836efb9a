// The lifetime of a command that holds a tunnel or a relay: it opens, waits for a signal or the end, and closes in order.

import {keepMemoryFlat} from '../core/collect.js';
import {listenForSignals, type SignalOptions} from './signals.js';
import {limitFlush, onReaderGone} from './stdout.js';

/** A tunnel or a relay. */
export interface Closable {
  /** Settles at the end; rejects after a failure. Absent if only `close` ends it. */
  readonly closed?: Promise<void>;
  close(options: {drainTimeoutMs: number}): Promise<void>;
  /** Ends it at once; `closed` settles when the other side knows. Absent if the end of the process is enough. */
  destroy?(): void;
}

export interface HoldOptions<T extends Closable> {
  /** Opens it; gives up when the signal aborts. */
  open: (signal: AbortSignal) => Promise<T>;
  /** Called when somebody asks for the end, before closing begins. */
  onStop?: (held: T) => void;
  /** Called for a SIGHUP while it is open. */
  onReload?: (held: T) => void;
  /** Called when nobody reads stdout any more; then it closes as well. */
  onReaderGone?: () => void;
  /** Called when the process is about to end at once. */
  onLeave: () => void;
  /**
   * True when the output of a program goes through stdout or stderr: it is worth waiting for a slow reader, until somebody
   * asks for the end.
   */
  passesOutput?: boolean;
  /** A function when it can change. */
  drainTimeoutMs: number | (() => number);
  /** For tests: the source of signals and the function that ends the process. */
  signals?: Pick<SignalOptions, 'source' | 'now' | 'leave' | 'hasTerminal'>;
}

/** Resolves after an orderly end; rejects with the error that ended it. */
export async function hold<T extends Closable>(options: HoldOptions<T>): Promise<void> {
  const {drainTimeoutMs: timeout} = options;
  const drainTimeoutMs = typeof timeout === 'function' ? timeout : () => timeout;
  const starting = new AbortController();
  let held: T | undefined;
  let stopping: Promise<void> | undefined;
  let told = () => {};
  const asked = new Promise<void>((resolve) => {
    told = resolve;
  });
  // A tunnel must not outlive its end because nobody reads its events.
  if (!options.passesOutput) limitFlush();
  const stop = (drainTimeoutMs: number) => {
    limitFlush();
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
    onStop: () => stop(drainTimeoutMs()),
    onLeave: leave,
    ...(options.onReload && {
      onReload: () => {
        if (held && !stopping) options.onReload?.(held);
      },
    }),
  });
  let isUnread = false;
  // The reader of the address is gone, so there is nothing to wait for.
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
  // It opened at the moment when the end was requested. Visitors may have come already.
  if (starting.signal.aborted) stop(isUnread ? 0 : drainTimeoutMs());
  await Promise.race(held.closed ? [held.closed, asked] : [asked]);
  await stopping;
  // A second signal ends the process itself, with its own exit code.
  if (isLeaving) await new Promise<never>(() => {});
}

// Reaches the sandbox of an earlier hub, or one whose connection was lost.

import {type Clock, pause} from '../core/clock.js';
import type {SandboxControl} from '../sandbox/control.js';

/** Between two tries to reach a sandbox whose owner does not answer, ms. */
const REOPEN_EVERY_MS = 2_000;
/** How long an owner may be silent before its sandbox is given up, ms. */
const REOPEN_MS = 60_000;
/** Tries to find a young sandbox. */
const YOUNG_TRIES = 4;

export interface ReopenOptions {
  /** @throws when its owner does not answer */
  readonly open: () => Promise<SandboxControl | undefined>;
  /** The earlier hub may have been killed a moment after it had started the owner, which cannot be found yet. */
  readonly isYoung: boolean;
  readonly clock: Clock;
  /** Ends the wait for an owner that does not answer. */
  readonly signal: AbortSignal;
}

/**
 * Waits for an owner that does not answer, which may be busy or stopped. Undefined: the sandbox is gone, or the signal aborted.
 *
 * @throws the error of `open` when the owner stays silent
 */
export async function reopen({
  open,
  isYoung,
  clock,
  signal,
}: ReopenOptions): Promise<SandboxControl | undefined> {
  const until = clock.now() + REOPEN_MS;
  for (let tries = 1; ; tries += 1) {
    const mayAppear = isYoung && tries < YOUNG_TRIES;
    try {
      const sandbox = await open();
      if (sandbox !== undefined || !mayAppear) return sandbox;
    } catch (error) {
      if (clock.now() > until) throw error;
    }
    // Also after a stop: a sandbox that appears later would run without a session.
    if (mayAppear) await pause(clock, REOPEN_EVERY_MS / 2);
    else await pause(clock, REOPEN_EVERY_MS, signal);
    if (signal.aborted && !mayAppear) return undefined;
  }
}

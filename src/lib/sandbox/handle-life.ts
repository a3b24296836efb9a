// The steps of a handle's life that have limits of time: its start, the stop of its command, and its end.

import type {Readable} from 'node:stream';
import {atMost, type Clock} from '../core/clock.js';
import {TunlError} from '../core/errors.js';
import type {CommandEnd, SandboxHandle} from './backend.js';

/** For the isolation program to start, ms. */
const CREATE_MS = 120_000;
/** For a start that was given up to remove what it has made, ms. */
const LATE_MS = 2_000;
/** For the isolation program to remove everything, ms. */
const DESTROY_MS = 10_000;
/** For output that is on its way when the command has ended, ms. */
const LAST_OUTPUT_MS = 1_000;
/** For the command that runs before the stop, ms. */
const PRE_STOP_MS = 10_000;
/** Between TERM and KILL, ms. */
const GRACE_MS = 10_000;

export interface CreateOptions {
  readonly clock: Clock;
  readonly giveUp: AbortController;
  /** The start has failed. Resolves to true when a handle that came later is destroyed; not for long. Never rejects. */
  readonly onLate: (gone: Promise<boolean>) => void;
}

/**
 * A handle that comes after `giveUp` or after the limit is destroyed.
 *
 * @throws TunlError SANDBOX_FAILED, ABORTED, and those of `ask`
 */
export async function createHandle(
  ask: (signal: AbortSignal) => Promise<SandboxHandle>,
  {clock, giveUp, onLate}: CreateOptions,
): Promise<SandboxHandle> {
  const gaveUp = Promise.withResolvers<never>();
  const timer = clock.after(CREATE_MS, () => {
    const reason = `It did not start within ${CREATE_MS / 1000} s.`;
    gaveUp.reject(new TunlError('SANDBOX_FAILED', {reason}));
    giveUp.abort();
  });
  giveUp.signal.addEventListener('abort', () => gaveUp.reject(new TunlError('ABORTED')), {once: true});
  const creating = ask(giveUp.signal);
  let isLate = false;
  const destroyed = creating.then(async (handle) => {
    if (isLate) await handle.destroy();
    return true;
  });
  const gone = destroyed.catch(() => false);
  try {
    return await Promise.race([creating, gaveUp.promise]);
  } catch (error) {
    isLate = true;
    onLate(atMost(clock, LATE_MS, gone).then((isGone) => isGone === true));
    throw error;
  } finally {
    timer.cancel();
  }
}

/** Resolves when the output has come and to true when everything is gone, or when their time is over. Never rejects. */
export async function destroyHandle(handle: SandboxHandle, clock: Clock): Promise<boolean> {
  const outputs = Promise.all([handle.stdout, handle.stderr].map(closed));
  const isGone = await atMost(
    clock,
    DESTROY_MS,
    handle.destroy().then(
      () => true,
      () => false,
    ),
  );
  await atMost(clock, LAST_OUTPUT_MS, outputs);
  return isGone ?? false;
}

/** Resolves to the end of the command, or to undefined when it ignores TERM. Never rejects. */
export async function stopCommand(
  handle: SandboxHandle,
  {preStop, clock}: {preStop: readonly string[] | undefined; clock: Clock},
): Promise<CommandEnd | undefined> {
  let end: CommandEnd | undefined;
  const ended = handle.ended.then((ofCommand) => {
    end = ofCommand;
  });
  if (preStop !== undefined) {
    await atMost(clock, PRE_STOP_MS, Promise.race([runOnce(handle, preStop).catch(() => {}), ended]));
  }
  if (end === undefined) {
    await atMost(
      clock,
      GRACE_MS,
      Promise.race([
        handle.signal('SIGTERM').then(
          () => ended,
          () => ended,
        ),
      ]),
    );
  }
  return end;
}

async function runOnce(handle: SandboxHandle, command: readonly string[]): Promise<void> {
  const run = await handle.exec({command, timeoutMs: PRE_STOP_MS});
  run.stdin.on('error', () => {}).end();
  for (const output of [run.stdout, run.stderr]) output.on('error', () => {}).resume();
  await run.exit;
}

function closed(stream: Readable): Promise<void> {
  return new Promise((resolve) => {
    if (stream.closed || stream.readableEnded) resolve();
    stream.once('close', resolve);
    stream.once('end', resolve);
  });
}

// Stops a command that runs: its own last words, TERM, and what is left is killed by its caller.

import {atMost, type Clock} from '../core/clock.js';
import type {CommandEnd, SandboxHandle} from './backend.js';

/** For the command that runs before the stop, ms. */
const PRE_STOP_MS = 10_000;
/** Between TERM and KILL, ms. */
const GRACE_MS = 10_000;

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

// Ends a sandbox of another process, also when that process does not answer.

import {setTimeout as sleep} from 'node:timers/promises';
import {atMost, systemClock} from '../core/clock.js';
import {systemCode, TunlError} from '../core/errors.js';
import type {ProcessRecord} from '../core/process-life.js';
import {lifeOf} from '../launch/process-record.js';
import type {SandboxEnd} from './control.js';
import {RemoteSandbox} from './remote.js';
import {KILLED, type ListedSandbox, type SandboxRoster} from './roster.js';

/** `preStop` and TERM have ten seconds each; then everything is removed. */
const STOP_MS = 40_000;
/** One that is stopped (SIGSTOP) answers nothing at all. */
const ANSWER_MS = 3_000;
const LOOK_EVERY_MS = 25;
const AFTER_KILL_MS = 5_000;

/** @throws TunlError SANDBOX_ENDED, SANDBOX_UNKNOWN, SANDBOX_SILENT, STATE_DIR */
export async function stopSandbox(
  roster: SandboxRoster,
  listed: ListedSandbox,
): Promise<{id: string; end: SandboxEnd}> {
  const {id, owner} = listed.journal;
  const end = await askToStop(roster, listed);
  return {id, end: end ?? (await killOwner(owner))};
}

/** Undefined: it does not answer. */
async function askToStop(roster: SandboxRoster, listed: ListedSandbox): Promise<SandboxEnd | undefined> {
  using remote = await RemoteSandbox.open(roster, listed).catch((error: unknown) => {
    if (error instanceof TunlError && error.code === 'SANDBOX_SILENT') return undefined;
    throw error;
  });
  if (remote === undefined) return undefined;
  const answers = await atMost(systemClock, ANSWER_MS, remote.info());
  return answers === undefined ? undefined : await atMost(systemClock, STOP_MS, remote.terminate());
}

/** Its leftovers are removed at the next start. */
async function killOwner(owner: ProcessRecord): Promise<SandboxEnd> {
  const until = systemClock.now() + AFTER_KILL_MS;
  for (;;) {
    const life = await lifeOf(owner, Date.now());
    if (life === 'ended') return KILLED;
    try {
      // The pid of one that cannot be looked up may belong to another process by now.
      if (life === 'running') process.kill(owner.pid, 'SIGKILL');
    } catch (error) {
      if (systemCode(error) !== 'ESRCH') throw stuck(owner, systemCode(error), error);
    }
    if (systemClock.now() > until) throw stuck(owner, 'it does not end');
    await sleep(LOOK_EVERY_MS);
  }
}

function stuck({pid}: ProcessRecord, why: string, cause?: unknown): TunlError {
  return new TunlError('SANDBOX_SILENT', {
    reason: `The process ${pid} owns the sandbox, does not answer, and cannot be ended (${why}).`,
    next: 'End it as the user who started it.',
    cause,
  });
}

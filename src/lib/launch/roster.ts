// The tunnels that run in the background: one small file and one log for each, in the state folder, gone with their process.

import {readdir, readFile, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {systemCode, TunlError} from '../core/errors.js';
import {openStateDir, writeFileAtomic} from '../core/state-dir.js';
import {checkState, checkStateFile} from '../core/state-trust.js';
import {
  isProcessRecord,
  keepFresh,
  lifeOf,
  type ProcessRecord,
  type System,
  thisProcess,
} from './process-record.js';

export interface BackgroundTunnel {
  readonly id: string;
  readonly pid: number;
  /** Tells the process from a later one with the same pid. */
  readonly processStart: string;
  /** Where the pid means this process: containers may share the state folder. */
  readonly system?: System | undefined;
  /** ISO 8601. */
  readonly startedAt: string;
  /** The words of the command line; secrets have no place there. */
  readonly command: readonly string[];
  readonly address: string;
  readonly expiresAt?: string;
}

const FOLDER = 'background';
const ID = /^[a-z2-9]{6}$/;
/** Longer than a tunnel may take to come up: a log without a tunnel is then nobody's. */
const STALE_LOG_MS = 600_000;
/** A drain and a program's grace; then it is killed. */
const STOP_MS = 20_000;
/** What is still there so long after SIGKILL is beyond signals. */
const AFTER_KILL_MS = 5_000;

export const isBackgroundId = (text: string): boolean => ID.test(text);

export class Roster {
  readonly #stateDir: string;
  readonly #folder: string;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
    this.#folder = join(stateDir, FOLDER);
  }

  async prepare(): Promise<void> {
    await openStateDir(this.#stateDir, FOLDER);
  }

  logPath(id: string): string {
    return join(this.#folder, `${id}.log`);
  }

  /** Enters this process. */
  async enter(about: Omit<BackgroundTunnel, 'pid' | 'processStart'>): Promise<void> {
    const {pid, start, system} = await thisProcess();
    const entry: BackgroundTunnel = {...about, pid, processStart: start, system};
    const path = this.#path(about.id);
    await writeFileAtomic(path, `${JSON.stringify(entry)}\n`);
    keepFresh(path);
  }

  async remove(id: string): Promise<void> {
    await rm(this.#path(id), {force: true});
    await rm(this.logPath(id), {force: true});
  }

  /** Those that run here, oldest first. What dead processes left is removed on the way. @throws TunlError STATE_DIR */
  async living(): Promise<BackgroundTunnel[]> {
    await checkState(this.#stateDir, FOLDER);
    const names = await readdir(this.#folder).catch(() => []);
    const ids = new Set(names.map((name) => name.split('.', 1)[0] ?? '').filter(isBackgroundId));
    const found = await Promise.all([...ids].map((id) => this.#look(id)));
    return found
      .flatMap((each) => (each?.life === 'running' ? [each.entry] : []))
      .sort((a, b) => a.startedAt.localeCompare(b.startedAt));
  }

  /** @throws TunlError BACKGROUND_UNKNOWN, STATE_DIR */
  async get(id: string): Promise<BackgroundTunnel> {
    await checkState(this.#stateDir, FOLDER);
    const found = isBackgroundId(id) ? await this.#look(id) : undefined;
    if (found?.life === 'running') return found.entry;
    if (found === undefined) throw new TunlError('BACKGROUND_UNKNOWN');
    throw new TunlError('BACKGROUND_UNKNOWN', {
      reason: `The tunnel ${id} was started in another container, or on another machine.`,
      next: 'Stop it there.',
    });
  }

  /** Ends it as Ctrl+C would; resolves when its process has gone. @throws TunlError BACKGROUND_STUCK */
  async stop(entry: BackgroundTunnel): Promise<void> {
    const deadline = performance.now() + STOP_MS;
    send(entry, 'SIGTERM');
    while (await isRunning(entry)) {
      const late = performance.now() - deadline;
      if (late > AFTER_KILL_MS) throw stuck(entry, 'it does not end');
      // Its programs are ended by their watchers.
      if (late > 0) send(entry, 'SIGKILL');
      await sleep(25);
    }
    await this.remove(entry.id);
  }

  async isRunning(entry: BackgroundTunnel): Promise<boolean> {
    return await isRunning(entry);
  }

  #path(id: string): string {
    return join(this.#folder, `${id}.json`);
  }

  /** Undefined: there is none any more. */
  async #look(id: string): Promise<{entry: BackgroundTunnel; life: 'running' | 'unknown'} | undefined> {
    const entry = await readEntry(this.#path(id), id);
    if (entry !== undefined) {
      const {mtimeMs} = await stat(this.#path(id)).catch(() => ({mtimeMs: 0}));
      const life = await lifeOf(recordOf(entry), mtimeMs);
      if (life !== 'ended') return {entry, life};
    }
    // A log alone may belong to a tunnel that is coming up.
    const log = await stat(this.logPath(id)).catch(() => undefined);
    if (entry !== undefined || (log !== undefined && Date.now() - log.mtimeMs > STALE_LOG_MS)) {
      await this.remove(id);
    }
    return undefined;
  }
}

/** @throws TunlError STATE_DIR where somebody else may have written it. */
async function readEntry(path: string, id: string): Promise<BackgroundTunnel | undefined> {
  await checkStateFile(path);
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    return isEntry(value) && value.id === id ? value : undefined;
  } catch {
    return undefined;
  }
}

function isEntry(value: unknown): value is BackgroundTunnel {
  if (typeof value !== 'object' || value === null) return false;
  const {id, pid, processStart, system, startedAt, address, command} = value as Record<string, unknown>;
  return (
    [id, startedAt, address].every((field) => typeof field === 'string') &&
    isProcessRecord({pid, start: processStart, system}) &&
    pid !== 1 &&
    Array.isArray(command)
  );
}

/** Only the very process that entered itself: a pid may be somebody else's by now, or mean another process elsewhere. */
async function isRunning(entry: BackgroundTunnel): Promise<boolean> {
  return (await lifeOf(recordOf(entry), Date.now())) === 'running';
}

function recordOf({pid, processStart, system}: BackgroundTunnel): ProcessRecord {
  return {pid, start: processStart, system};
}

function send(entry: BackgroundTunnel, signal: NodeJS.Signals): void {
  try {
    process.kill(entry.pid, signal);
  } catch (error) {
    if (systemCode(error) === 'ESRCH') return;
    throw stuck(entry, systemCode(error), error);
  }
}

function stuck({id, pid}: BackgroundTunnel, why: string, cause?: unknown): TunlError {
  return new TunlError('BACKGROUND_STUCK', {
    reason: `The tunnel ${id} (process ${pid}) cannot be stopped (${why}).`,
    cause,
  });
}

// The tunnels that run in the background: one small file and one log for each, in the state folder, gone with their process.

import {readdir, readFile, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {systemCode, TunlError} from '../core/errors.js';
import {ensurePrivateDir, writeFileAtomic} from '../core/state-dir.js';
import {run} from './run.js';

export interface BackgroundTunnel {
  readonly id: string;
  readonly pid: number;
  /** Tells the process from a later one with the same pid. */
  readonly processStart: string;
  /** ISO 8601. */
  readonly startedAt: string;
  /** The words of the command line; secrets have no place there. */
  readonly command: readonly string[];
  readonly address: string;
  readonly expiresAt?: string;
}

const ID = /^[a-z2-9]{6}$/;
/** Longer than a tunnel may take to come up: a log without a tunnel is then nobody's. */
const STALE_LOG_MS = 600_000;
/** A drain and a program's grace; then it is killed. */
const STOP_MS = 20_000;
/** What is still there so long after SIGKILL is beyond signals. */
const AFTER_KILL_MS = 5_000;

export const isBackgroundId = (text: string): boolean => ID.test(text);

export class Roster {
  readonly #folder: string;

  constructor(stateDir: string) {
    this.#folder = join(stateDir, 'background');
  }

  async prepare(): Promise<void> {
    await ensurePrivateDir(this.#folder);
  }

  logPath(id: string): string {
    return join(this.#folder, `${id}.log`);
  }

  /** Enters this process. */
  async enter(about: Omit<BackgroundTunnel, 'pid' | 'processStart'>): Promise<void> {
    const entry: BackgroundTunnel = {
      ...about,
      pid: process.pid,
      processStart: await startOf(process.pid),
    };
    await writeFileAtomic(this.#path(about.id), `${JSON.stringify(entry)}\n`);
  }

  async remove(id: string): Promise<void> {
    await rm(this.#path(id), {force: true});
    await rm(this.logPath(id), {force: true});
  }

  /** Those that run, oldest first. What dead processes left is removed on the way. */
  async living(): Promise<BackgroundTunnel[]> {
    const names = await readdir(this.#folder).catch(() => []);
    const ids = new Set(names.map((name) => name.split('.', 1)[0] ?? '').filter(isBackgroundId));
    const found = await Promise.all([...ids].map((id) => this.#look(id)));
    return found
      .filter((entry) => entry !== undefined)
      .sort((a, b) => a.startedAt.localeCompare(b.startedAt));
  }

  /** @throws TunlError BACKGROUND_UNKNOWN */
  async get(id: string): Promise<BackgroundTunnel> {
    const entry = isBackgroundId(id) ? await this.#look(id) : undefined;
    if (entry === undefined) throw new TunlError('BACKGROUND_UNKNOWN');
    return entry;
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

  async #look(id: string): Promise<BackgroundTunnel | undefined> {
    const entry = await readEntry(this.#path(id), id);
    if (entry !== undefined && (await isRunning(entry))) return entry;
    // A log alone may belong to a tunnel that is coming up.
    const log = await stat(this.logPath(id)).catch(() => undefined);
    if (entry !== undefined || (log !== undefined && Date.now() - log.mtimeMs > STALE_LOG_MS)) {
      await this.remove(id);
    }
    return undefined;
  }
}

async function readEntry(path: string, id: string): Promise<BackgroundTunnel | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    return isEntry(value) && value.id === id ? value : undefined;
  } catch {
    return undefined;
  }
}

function isEntry(value: unknown): value is BackgroundTunnel {
  if (typeof value !== 'object' || value === null) return false;
  const {id, pid, processStart, startedAt, address, command} = value as Record<string, unknown>;
  return (
    [id, processStart, startedAt, address].every((field) => typeof field === 'string') &&
    Number.isInteger(pid) &&
    Number(pid) > 1 &&
    Array.isArray(command)
  );
}

/** Only the very process that entered itself: a pid may be somebody else's by now. */
async function isRunning(entry: BackgroundTunnel): Promise<boolean> {
  const start = await startOf(entry.pid);
  return start !== '' && start === entry.processStart;
}

/** When a process was started, as the system writes it; '' when there is none (a zombie is none). */
async function startOf(pid: number): Promise<string> {
  if (process.platform !== 'linux') {
    return (await run('ps', ['-o', 'lstart=', '-p', String(pid)])).stdout.trim();
  }
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  // Fields after the name, which may hold spaces: the first is the state, the 20th the start.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return /^[ZX]/.test(fields[0] ?? '') ? '' : (fields[19] ?? '');
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

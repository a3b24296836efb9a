// The processes that run in the background, and those that ended within a week: a small file and a log for each, in the state
// folder.

import {rmSync} from 'node:fs';
import {readdir, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {systemClock} from '../core/clock.js';
import type {Control, ControlAnswer} from '../core/control-socket.js';
import {systemCode, TunlError} from '../core/errors.js';
import {openStateDir, writeFileAtomic} from '../core/state-dir.js';
import {checkState} from '../core/state-trust.js';
import {type Answer, askControl, type ControlRequest, serveControl} from './control.js';
import {type BackgroundTunnel, type End, readEntry, recordOf, writeEntrySync} from './journal.js';
import {keepFresh, lifeOf, thisProcess} from './process-record.js';

const FOLDER = 'background';
const ID = /^[a-z2-9]{6}$/;
/** Longer than the start of a tunnel takes: older files without an entry belong to none. */
const STALE_START_MS = 600_000;
/** How long the log and the reason of an end are kept. */
const KEPT_MS = 7 * 86_400_000;
/** A script that starts tunnels all day must not fill the disk: only the newest ended ones are kept. */
const MAX_ENDED = 100;
/** The time for a program's grace period and the end of the links, after the drain; then the process is killed. */
const STOP_MS = 20_000;
/** A process that does not answer at once is stopped, or busy with a flood: it must not delay a list. */
const ANSWER_MS = 500;
/** A process that exists so long after SIGKILL cannot be ended by signals. */
const AFTER_KILL_MS = 5_000;

export const isBackgroundId = (text: string): boolean => ID.test(text);

/** `unknown`: the processes of its system are not visible from here. */
export interface Listed {
  readonly entry: BackgroundTunnel;
  readonly life: 'running' | 'ended' | 'unknown';
}

/** The entry of this process. Both writes are synchronous, because they also run at the end of the process. */
export interface OwnEntry {
  change(to: Partial<Pick<BackgroundTunnel, 'expiresAt' | 'address' | 'tunnels'>>): void;
  /** The last action of the process. */
  end(end: End): void;
  /** The same for a process whose end nobody asks about. */
  remove(): void;
}

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

  /** Adds an entry for this process. */
  async enter(about: Omit<BackgroundTunnel, 'pid' | 'processStart'>): Promise<OwnEntry> {
    const {pid, start, system} = await thisProcess();
    let entry: BackgroundTunnel = {...about, pid, processStart: start, system};
    const path = this.#path(about.id);
    await writeFileAtomic(path, `${JSON.stringify(entry)}\n`);
    keepFresh(path);
    return {
      change: (to) => {
        entry = {...entry, ...to};
        writeEntrySync(path, entry);
      },
      end: (end) => writeEntrySync(path, {...entry, end}),
      remove: () => rmSync(path, {force: true}),
    };
  }

  /** Answers the requests about this process. Undefined when no socket is possible. */
  async serve(id: string, answer: Answer): Promise<Control | undefined> {
    return await serveControl(this.#folder, `${id}.sock`, answer);
  }

  /** Undefined: no answer in time. @throws TunlError STATE_DIR, and errors that the process answers */
  async ask(
    {id}: BackgroundTunnel,
    request: ControlRequest,
    timeoutMs = ANSWER_MS,
  ): Promise<ControlAnswer | undefined> {
    return await askControl(this.#folder, `${id}.sock`, request, timeoutMs);
  }

  async remove(id: string): Promise<void> {
    for (const name of await this.#files(id)) await rm(join(this.#folder, name), {force: true});
  }

  /** The entries that run here, oldest first. @throws TunlError STATE_DIR */
  async living(): Promise<BackgroundTunnel[]> {
    return (await this.all()).flatMap(({entry, life}) => (life === 'running' ? [entry] : []));
  }

  /** The entries that run here or ended within a week, oldest first; older ones are removed. @throws TunlError STATE_DIR */
  async all(): Promise<Listed[]> {
    await checkState(this.#stateDir, FOLDER);
    const names = await readdir(this.#folder).catch(() => []);
    const ids = new Set(names.map((name) => name.split('.', 1)[0] ?? '').filter(isBackgroundId));
    const found = (await Promise.all([...ids].map((id) => this.#look(id))))
      .filter((each) => each !== undefined)
      .sort((a, b) => a.entry.startedAt.localeCompare(b.entry.startedAt));
    const ended = found.filter(({life}) => life === 'ended');
    const surplus = ended.slice(0, Math.max(0, ended.length - MAX_ENDED));
    for (const {entry} of surplus) await this.remove(entry.id);
    return found.filter((each) => each.life !== 'unknown' && !surplus.includes(each));
  }

  /** An entry that runs here, or ended within a week. @throws TunlError BACKGROUND_UNKNOWN, STATE_DIR */
  async find(id: string): Promise<Listed> {
    await checkState(this.#stateDir, FOLDER);
    const found = isBackgroundId(id) ? await this.#look(id) : undefined;
    if (found === undefined) throw new TunlError('BACKGROUND_UNKNOWN');
    if (found.life !== 'unknown') return found;
    throw new TunlError('BACKGROUND_UNKNOWN', {
      reason: `The tunnel ${id} was started in another container, or on another machine.`,
      next: 'Stop it there.',
    });
  }

  /** An entry that runs here. @throws TunlError BACKGROUND_UNKNOWN, STATE_DIR */
  async get(id: string): Promise<BackgroundTunnel> {
    const {entry, life} = await this.find(id);
    if (life === 'running') return entry;
    throw new TunlError('BACKGROUND_UNKNOWN', {
      reason: `The tunnel ${id} has ended.`,
      next: `\`tunl logs ${id}\` shows what it said, \`tunl list --all\` why it ended.`,
    });
  }

  /** Ends it like Ctrl+C; resolves when its process is gone. @throws TunlError BACKGROUND_STUCK */
  async stop(entry: BackgroundTunnel, reason?: string): Promise<void> {
    const deadline = systemClock.now() + STOP_MS + (entry.drainTimeoutMs ?? 0);
    const answer = await this.ask(entry, {do: 'stop', ...(reason !== undefined && {reason})});
    if (answer === undefined) send(entry, 'SIGTERM');
    while (await isRunning(entry)) {
      const late = systemClock.now() - deadline;
      if (late > AFTER_KILL_MS) throw stuck(entry, 'it does not end');
      // The watchers end its programs.
      if (late > 0) send(entry, 'SIGKILL');
      await sleep(25);
    }
  }

  async isRunning(entry: BackgroundTunnel): Promise<boolean> {
    return await isRunning(entry);
  }

  #path(id: string): string {
    return join(this.#folder, `${id}.json`);
  }

  async #files(id: string): Promise<string[]> {
    const names = await readdir(this.#folder).catch(() => []);
    return names.filter((name) => name.startsWith(`${id}.`));
  }

  /** When a file of this id was last changed. 0: all have been removed or renamed. */
  async #newestOf(id: string): Promise<number> {
    const names = await this.#files(id);
    return Math.max(0, ...(await Promise.all(names.map((name) => touchedAt(join(this.#folder, name))))));
  }

  /** Undefined: it no longer exists. */
  async #look(id: string): Promise<Listed | undefined> {
    const path = this.#path(id);
    const entry = await readEntry(path, id);
    const [entryAt, logAt] = await Promise.all([touchedAt(path), touchedAt(this.logPath(id))]);
    if (entry === undefined) {
      // A tunnel that is starting may have a log, a draft or a socket; an unreadable entry is kept as long as an end.
      const newest = await this.#newestOf(id);
      const keptMs = entryAt === 0 ? STALE_START_MS : KEPT_MS;
      // 0: a draft that has become the entry meanwhile.
      if (newest !== 0 && Date.now() - newest > keptMs) await this.remove(id);
      return undefined;
    }
    const life = entry.end === undefined ? await lifeOf(recordOf(entry), entryAt) : 'ended';
    if (life !== 'ended' || Date.now() - Math.max(entryAt, logAt) <= KEPT_MS) return {entry, life};
    await this.remove(id);
    return undefined;
  }
}

/** 0: the file does not exist. */
async function touchedAt(path: string): Promise<number> {
  return (await stat(path).catch(() => ({mtimeMs: 0}))).mtimeMs;
}

/**
 * Only the process that wrote the entry: its pid may now belong to another process, or mean another process on another
 * system.
 */
async function isRunning(entry: BackgroundTunnel): Promise<boolean> {
  return (await lifeOf(recordOf(entry), Date.now())) === 'running';
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

// The sandboxes of this user: a folder for each in the state folder, with its journal, its control socket and the files of its
// backend. A folder is kept for a week after the end, so that people can look up what happened.

import {mkdir, readdir, rm, stat} from 'node:fs/promises';
import {join} from 'node:path';
import {TunlError} from '../core/errors.js';
import {withLock} from '../core/file-lock.js';
import type {Life} from '../core/process-life.js';
import {openStateDir} from '../core/state-dir.js';
import {checkState} from '../core/state-trust.js';
import {keepFresh, lifeOf, thisProcess} from '../launch/process-record.js';
import type {SandboxEnd, SandboxInfo} from './control.js';
import {checkSandboxName, isSandboxId, newSandboxId} from './ids.js';
import {JOURNAL, type Journal, journalOf, readJournal, writeJournal} from './journal.js';

const FOLDER = 'sandboxes';
/** The folder of the backend's own files. It is removed at the end of the sandbox. */
const WORK = 'work';
export const SOCKET = 'control.sock';
/** How long the journal and the output are kept after the end. */
const KEPT_MS = 7 * 86_400_000;
/** A script that starts sandboxes all day must not fill the disk: only the newest ended ones are kept. */
const MAX_ENDED = 100;
/** A younger folder without a journal may belong to a process that is just starting. */
const STARTING_MS = 600_000;

/** The end of a sandbox whose owner was killed. */
export const KILLED: SandboxEnd = {reason: 'lost', detail: 'The process that owned it was killed.'};

export interface SandboxStart {
  /** Default: a new one. A given id may have its folder already. */
  readonly id?: string | undefined;
  readonly name?: string | undefined;
  readonly command: readonly string[];
}

/** The folder of a sandbox of this process. Writes are synchronous, because they also run at the end of the process. */
export interface OwnSandbox {
  readonly id: string;
  /** `STATE/sandboxes/ID`. */
  readonly folder: string;
  /** A folder of mode 0700 for the backend: `SandboxSpec.folder`. */
  readonly workFolder: string;
  /** Called after each change of what `info` says. `record`: of the handle, once there is one. */
  change(info: SandboxInfo, record?: Readonly<Record<string, unknown>>): void;
  /**
   * The sandbox has ended: the journal says why. Removes the files of the backend.
   *
   * @param options.unclean the backend may have left something else. Default false.
   */
  end(end: SandboxEnd, options?: {unclean?: boolean}): Promise<void>;
  /** It never began: nothing is kept. */
  remove(): Promise<void>;
}

export interface ListedSandbox {
  readonly journal: Journal;
  /** `ended`: it has an end. `unknown`: its owner runs in another container, or on another machine. */
  readonly life: Life;
  readonly folder: string;
}

export class SandboxRoster {
  readonly #stateDir: string;
  readonly #folder: string;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
    this.#folder = join(stateDir, FOLDER);
  }

  folderOf(id: string): string {
    return join(this.#folder, id);
  }

  /** Makes the folder of a sandbox that another process will begin. @throws TunlError STATE_DIR */
  async makeFolder(id = newSandboxId()): Promise<{id: string; folder: string}> {
    return {id, folder: await openStateDir(this.#stateDir, FOLDER, id)};
  }

  /** Begins a sandbox of this process. @throws TunlError STATE_DIR, OPTION_INVALID, SANDBOX_NAME_USED */
  async begin({id = newSandboxId(), name, command}: SandboxStart): Promise<OwnSandbox> {
    if (name !== undefined) checkSandboxName(name);
    await openStateDir(this.#stateDir, FOLDER);
    const owner = await thisProcess();
    const first: Journal = {
      id,
      ...(name !== undefined && {name}),
      owner,
      state: 'creating',
      command,
      createdAt: Date.now(),
      tunnels: [],
      unreal: [],
    };
    const folder = await openStateDir(this.#stateDir, FOLDER, id);
    const enter = async () => {
      if (name !== undefined) await this.#checkUnused(name);
      writeJournal(join(folder, JOURNAL), first);
    };
    try {
      // If two begin at once with the same name, one must fail.
      await (name === undefined ? enter() : withLock(join(this.#folder, 'names.lock'), enter));
      await mkdir(join(folder, WORK), {mode: 0o700, recursive: true});
    } catch (error) {
      await rm(folder, {recursive: true, force: true});
      throw error;
    }
    return own(folder, first);
  }

  /** All sandboxes, oldest first; those that ended long ago are removed meanwhile. @throws TunlError STATE_DIR */
  async all(): Promise<ListedSandbox[]> {
    await checkState(this.#stateDir, FOLDER);
    const names = await readdir(this.#folder).catch(() => []);
    const found = (await Promise.all(names.filter(isSandboxId).map((id) => this.#look(id))))
      .filter((each) => each !== undefined)
      .sort((a, b) => a.journal.createdAt - b.journal.createdAt);
    const ended = found.filter(({life}) => life === 'ended');
    const surplus = ended.slice(0, Math.max(0, ended.length - MAX_ENDED));
    for (const {folder} of surplus) await removeFolder(folder);
    return found.filter((each) => !surplus.includes(each));
  }

  /**
   * By its id, its name, or the beginning of its id that no other one has. Among those with a name, one that runs comes first,
   * and then the newest.
   *
   * @throws TunlError SANDBOX_UNKNOWN, STATE_DIR
   */
  async find(word: string): Promise<ListedSandbox> {
    if (isSandboxId(word)) {
      await checkState(this.#stateDir, FOLDER);
      const found = await this.#look(word);
      if (found !== undefined) return found;
      throw new TunlError('SANDBOX_UNKNOWN', {reason: `There is no sandbox ${word}.`});
    }
    const all = (await this.all()).reverse();
    const named = all.filter(({journal}) => journal.name === word);
    const [best] = [...named.filter(({life}) => life === 'running'), ...named];
    if (best !== undefined) return best;
    const prefix = word.startsWith('sb_') ? word : `sb_${word}`;
    const some = all.filter(({journal}) => word !== '' && journal.id.startsWith(prefix));
    const running = some.filter(({life}) => life === 'running');
    const [one, ...others] = running.length > 0 ? running : some;
    if (one !== undefined && others.length === 0) return one;
    throw new TunlError('SANDBOX_UNKNOWN', {
      reason:
        one === undefined
          ? `There is no sandbox ${JSON.stringify(word)}.`
          : `Several sandboxes begin with ${word}: ${[one, ...others].map(({journal}) => journal.id).join(', ')}.`,
    });
  }

  /** Whether the process that owns the sandbox runs, or may run where it cannot be seen. */
  async isAlive(id: string): Promise<boolean> {
    const found = isSandboxId(id) ? await this.#look(id) : undefined;
    return found !== undefined && found.life !== 'ended';
  }

  /** The leftovers of a sandbox's backend are removed. */
  markClean({journal, folder}: ListedSandbox): void {
    writeJournal(join(folder, JOURNAL), {...journal, unclean: undefined, record: undefined});
  }

  async #checkUnused(name: string): Promise<void> {
    const user = (await this.all()).find(({journal, life}) => journal.name === name && life !== 'ended');
    if (user === undefined) return;
    throw new TunlError('SANDBOX_NAME_USED', {
      reason: `The sandbox ${user.journal.id} has the name ${name}.`,
    });
  }

  /** Undefined: it no longer exists, or never began. */
  async #look(id: string): Promise<ListedSandbox | undefined> {
    const folder = this.folderOf(id);
    const path = join(folder, JOURNAL);
    const [journal, at] = await Promise.all([readJournal(path, id), touchedAt(path)]);
    if (journal === undefined) {
      const age = Date.now() - (at || (await touchedAt(folder)) || Date.now());
      if (age > (at === 0 ? STARTING_MS : KEPT_MS)) await removeFolder(folder);
      return undefined;
    }
    const life = journal.end === undefined ? await lifeOf(journal.owner, at) : 'ended';
    if (life !== 'ended') return {journal, life, folder};
    if (Date.now() - (journal.endedAt ?? at) > KEPT_MS) {
      await removeFolder(folder);
      return undefined;
    }
    return {journal: journal.end === undefined ? await bury(folder, journal, at) : journal, life, folder};
  }
}

/** The owner of a sandbox died without an end: its journal gets one. */
async function bury(folder: string, journal: Journal, at: number): Promise<Journal> {
  const buried: Journal = {...journal, state: 'ended', end: KILLED, endedAt: at, unclean: true};
  writeJournal(join(folder, JOURNAL), buried);
  await removeWork(folder);
  return buried;
}

function own(folder: string, first: Journal): OwnSandbox {
  const path = join(folder, JOURNAL);
  let journal = first;
  keepFresh(path);
  return {
    id: first.id,
    folder,
    workFolder: join(folder, WORK),
    change(info, record) {
      if (journal.end !== undefined) return;
      journal = {...journalOf(journal, info), ...(record !== undefined && {record})};
      writeJournal(path, journal);
    },
    async end(end, {unclean = false} = {}) {
      if (journal.end !== undefined) return;
      journal = {...journal, state: 'ended', end, endedAt: Date.now(), ...(unclean && {unclean})};
      writeJournal(path, journal);
      await removeWork(folder);
    },
    remove: () => removeFolder(folder),
  };
}

async function removeWork(folder: string): Promise<void> {
  await rm(join(folder, SOCKET), {force: true}).catch(() => {});
  await removeFolder(join(folder, WORK));
}

async function removeFolder(folder: string): Promise<void> {
  // A dying program may still write into it.
  await rm(folder, {recursive: true, force: true, maxRetries: 5, retryDelay: 50}).catch(() => {});
}

/** 0: it does not exist. */
async function touchedAt(path: string): Promise<number> {
  return (await stat(path).catch(() => ({mtimeMs: 0}))).mtimeMs;
}

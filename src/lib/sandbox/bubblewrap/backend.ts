// Sandboxes by bubblewrap: namespaces of their own, no capabilities, a filter of system calls, and the init of tunl inside.

import {existsSync} from 'node:fs';
import {mkdir} from 'node:fs/promises';
import {join} from 'node:path';
import {systemCode, TunlError} from '../../core/errors.js';
import {oneLine} from '../../core/one-line.js';
import type {BackendReport, SandboxBackend, SandboxHandle} from '../backend.js';
import {connectInit, type InitClient} from '../init/init-client.js';
import {initFile} from '../init/program.js';
import {unrealLimits, withoutLimits} from '../limits/choose-limits.js';
import type {ControlGroup} from '../limits/control-group.js';
import type {SandboxLimits, SandboxSpec} from '../spec.js';
import {bwrapArguments, INSIDE} from './arguments.js';
import {type CheckedMount, checkMounts} from './check-mounts.js';
import {makeEtcFiles} from './etc-files.js';
import {explain, readKernelSettings} from './findings.js';
import {BubblewrapHandle, withSpec} from './handle.js';
import {hostTools, isHostTool, nodeLibraries, type Shown} from './host-tools.js';
import {type Launched, launch} from './launch.js';
import {launchScript, launchWords, newStage, putOnStage, type Stage} from './launch-script.js';
import {SandboxNetwork} from './network.js';
import {isSandboxUid, type OwnUid, takeUid} from './own-uid.js';
import {isRoot, type Prepared, type Programs, prepare, probe} from './probe.js';
import {seccompFilter} from './seccomp.js';

/** The init answers within a second, unless the machine is very busy. */
const READY_TIMEOUT_MS = 20_000;

/** Threads and processes that the sandbox needs for itself: bwrap, and the init with its Node. */
const OWN_TASKS = 16;

/** The init has to live in it. */
const LEAST_MEMORY_BYTES = 64 * 1024 * 1024;
const LEAST_OPEN_FILES = 64;

export class BubblewrapBackend implements SandboxBackend {
  readonly name = 'bubblewrap';

  probe(): Promise<BackendReport> {
    return probe();
  }

  async create(spec: SandboxSpec, signal?: AbortSignal): Promise<SandboxHandle> {
    signal?.throwIfAborted();
    const prepared = await prepare();
    const {programs, limits} = prepared;
    if ('why' in programs) {
      const {why, mend} = programs;
      throw new TunlError('SANDBOX_BACKEND', {reason: `bubblewrap cannot be used: ${why}`, next: mend});
    }
    checkSizes(spec.limits);
    const unreal = unrealLimits(spec.limits, limits, spec.bestEffort);
    const start = new Start(spec, prepared, programs, unreal);
    try {
      return await start.run(signal);
    } catch (error) {
      await start.undo();
      throw error;
    }
  }

  async sweep(isAlive: (sandboxId: string) => Promise<boolean>): Promise<void> {
    const {groups} = await prepare();
    await groups.sweep(isAlive);
  }
}

function checkSizes({memoryBytes, openFiles}: SandboxLimits): void {
  if (memoryBytes !== undefined && memoryBytes < LEAST_MEMORY_BYTES)
    throw new TunlError('OPTION_INVALID', {
      reason: 'A sandbox of bubblewrap needs 64 MiB of memory at least.',
    });
  if (openFiles !== undefined && openFiles < LEAST_OPEN_FILES)
    throw new TunlError('OPTION_INVALID', {reason: 'A sandbox of bubblewrap needs 64 open files at least.'});
}

/** One start: what it has made so far, so that a failure can undo it. */
class Start {
  readonly #spec: SandboxSpec;
  readonly #prepared: Prepared;
  readonly #programs: Programs;
  readonly #unreal: SandboxHandle['unreal'];
  readonly #limits: SandboxLimits;
  #own: OwnUid | undefined;
  #group: ControlGroup | undefined;
  #launched: Launched | undefined;
  #init: InitClient | undefined;
  #network: SandboxNetwork | undefined;

  constructor(spec: SandboxSpec, prepared: Prepared, programs: Programs, unreal: SandboxHandle['unreal']) {
    this.#spec = spec;
    this.#prepared = prepared;
    this.#programs = programs;
    this.#unreal = unreal;
    this.#limits = withoutLimits(spec.limits, unreal);
  }

  async run(signal?: AbortSignal): Promise<SandboxHandle> {
    const {command, id, egress, onRefused} = this.#spec;
    const mounts = checkMounts(this.#spec.mounts);
    if (isRoot()) this.#own = await ownUser(this.#spec.hostUid, mounts);
    const {memoryBytes, cpus, pids} = this.#limits;
    const tasks = pids === undefined ? undefined : pids + OWN_TASKS;
    void this.#prepared.groups.tidy().catch(() => {});
    this.#group = await this.#prepared.groups.make(id, {memoryBytes, cpus, pids: tasks});
    const network = await SandboxNetwork.open({
      rules: egress,
      onLost: () => this.#launched?.kill(),
      onRefused,
      signal,
    });
    this.#network = network;
    const launched = await this.#launch(mounts, network, tasks);
    const init = connectInit(launched.socket);
    this.#init = init;
    await this.#untilReady(launched, init, signal);
    await network.ready();
    const main = await init.exec(withSpec({command}, this.#spec));
    return new BubblewrapHandle({
      spec: this.#spec,
      launched,
      init,
      main,
      group: this.#group,
      network,
      unreal: this.#unreal,
      release: () => this.#own?.release(),
    });
  }

  /** Idempotent; never rejects. */
  async undo(): Promise<void> {
    this.#launched?.kill();
    this.#init?.close();
    await this.#launched?.ended;
    await this.#network?.close();
    await this.#group?.destroy();
    this.#own?.release();
  }

  async #launch(
    mounts: readonly CheckedMount[],
    network: SandboxNetwork,
    tasks: number | undefined,
  ): Promise<Launched> {
    const {folder, workdir} = this.#spec;
    const filter = seccompFilter(process.arch);
    const stage = this.#own === undefined ? undefined : await openStage(folder);
    const shown = [...hostTools(), ...(await this.#ownFiles(folder, network))];
    const asUser = this.#own === undefined || stage === undefined ? undefined : {uid: this.#own.uid, stage};
    const list = bwrapArguments({
      shown: shown.map((item) => staged(item, stage)),
      mounts: mounts.map((mount) =>
        stage === undefined ? mount : {...mount, source: putOnStage(stage, mount)},
      ),
      limits: this.#limits,
      workdir,
      hasFilter: filter !== undefined,
      sharesNetwork: network.isSealed,
    });
    const {bwrap, shell} = this.#programs;
    const init = [...this.#rlimits(tasks), nodeInside(), INSIDE.init];
    const groupWords = this.#group?.prefix ?? [];
    const words = [
      ...groupWords,
      ...(asUser === undefined ? network.userWords : []),
      ...launchWords(shell, asUser !== undefined),
    ];
    const {rootWords} = network;
    const script = launchScript({bwrap, init, enter: this.#group?.enter ?? [], rootWords, asUser});
    try {
      this.#launched = await launch({
        words,
        script,
        arguments: list,
        filter,
        bySystemd: groupWords.length > 0,
      });
    } catch (error) {
      throw new TunlError('SANDBOX_FAILED', {
        reason: `${words[0]} cannot be started (${systemCode(error)}).`,
        cause: error,
      });
    }
    return this.#launched;
  }

  /** The files of tunl inside: the init with its Node, and files of /etc. */
  async #ownFiles(folder: string, network: SandboxNetwork): Promise<Shown[]> {
    const names = await makeEtcFiles(join(folder, 'etc'), network.files);
    const file = (source: string, target: string): Shown => ({kind: 'file', source, target});
    return [
      ...names.map((name) => file(join(folder, 'etc', name), `/etc/${name}`)),
      file(initFile(), INSIDE.init),
      ...(nodeInside() === process.execPath ? [] : [file(process.execPath, INSIDE.node)]),
      ...nodeLibraries().map((path) => file(path, path)),
    ];
  }

  /** Words before the init: limits of each process, and of the user inside. */
  #rlimits(tasks: number | undefined): string[] {
    const {prlimit} = this.#programs;
    const {openFiles} = this.#limits;
    if (prlimit === undefined) return [];
    const both = (name: string, value: number) => `--${name}=${value}:${value}`;
    return [
      prlimit,
      // With 1 the kernel does not hand a crashed program to the host's own handler of crashes, which runs as root.
      both('core', 1),
      ...(tasks === undefined ? [] : [both('nproc', tasks)]),
      ...(openFiles === undefined ? [] : [both('nofile', openFiles)]),
      '--',
    ];
  }

  async #untilReady(launched: Launched, init: InitClient, signal: AbortSignal | undefined): Promise<void> {
    const {promise, reject} = Promise.withResolvers<never>();
    const onAbort = () => reject(signal?.reason);
    const timer = setTimeout(
      () => reject(new TunlError('SANDBOX_FAILED', {reason: 'The sandbox did not start in time.'})),
      READY_TIMEOUT_MS,
    );
    signal?.addEventListener('abort', onAbort, {once: true});
    try {
      signal?.throwIfAborted();
      await Promise.race([init.ready, promise]);
    } catch (error) {
      if (signal?.aborted === true) throw error;
      await Promise.race([launched.ended, promise.catch(() => {})]);
      const said = launched.said();
      if (said.trim() === '') throw error;
      throw await failureOf(said, error);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }
}

async function failureOf(said: string, cause: unknown): Promise<TunlError> {
  const line = said.trim().split('\n').at(-1) ?? '';
  if (!/^(bwrap|unshare): /.test(line)) {
    const reason = `The sandbox could not be started: ${oneLine(line).slice(0, 300)}`;
    return new TunlError('SANDBOX_FAILED', {reason, cause});
  }
  const {why, mend} = explain(line, await readKernelSettings());
  return new TunlError('SANDBOX_FAILED', {reason: why, next: mend, cause});
}

/** Node of the host's own folders is visible as it is. */
const nodeInside = (): string => (isHostTool(process.execPath) ? process.execPath : INSIDE.node);

/** The user of the host that a sandbox of root is. @throws TunlError OPTION_INVALID */
async function ownUser(wished: number | undefined, mounts: readonly CheckedMount[]): Promise<OwnUid> {
  const writable = mounts.filter(({readOnly}) => !readOnly);
  const owner = writable[0]?.owner;
  const uid = wished ?? (owner !== undefined && isSandboxUid(owner) ? owner : undefined);
  const own = uid === undefined ? await takeUid() : {uid, release: () => {}};
  if (own.uid === 0) throw new TunlError('OPTION_INVALID', {reason: 'A sandbox does not run as root.'});
  const foreign = writable.find((mount) => mount.owner !== own.uid);
  if (foreign === undefined) return own;
  own.release();
  throw new TunlError('OPTION_INVALID', {
    reason: `${foreign.source} belongs to user ${foreign.owner}: a sandbox of root is a user of its own, and could not write there.`,
    next: `Mount it read-only, give it to a user of sandboxes (chown -R ${own.uid}:${own.uid}), or run tunl as the user who owns it.`,
  });
}

async function openStage(folder: string): Promise<Stage> {
  const stage = newStage(join(folder, 'stage'), existsSync);
  if (stage === undefined) throw new TunlError('SANDBOX_FAILED', {reason: 'The folder /mnt does not exist.'});
  await mkdir(stage.folder);
  return stage;
}

/** Sources that root alone may reach go over the stage; tools of the host stay where they are. */
function staged(shown: Shown, stage: Stage | undefined): Shown {
  if (shown.kind === 'link' || stage === undefined || isHostTool(shown.source)) return shown;
  return {...shown, source: putOnStage(stage, {source: shown.source, isFolder: shown.kind === 'folder'})};
}

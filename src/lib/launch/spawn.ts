// Starts the process: with its own group, the mark in its environment and a watcher beside it. Both outputs are always read.
import {randomBytes} from 'node:crypto';
import {stat} from 'node:fs/promises';
import {childEnv} from '../core/child-env.js';
import {systemCode, TunlError} from '../core/errors.js';
import type {Exit} from './exit.js';
import type {OutputName} from './output.js';
import {type Family, MARK} from './processes.js';
import type {Program, Site, StartPlan} from './program.js';
import type {Room} from './room.js';
import {loadExeca} from './run.js';
import {startWatcher} from './watcher.js';

export interface Spawned {
  readonly family: Family;
  /** The end of the program itself; its child processes may still run. Never rejects. */
  readonly exit: Promise<Exit>;
  /** All output has been read. A child that was lost may keep it open. Never rejects. */
  readonly drained: Promise<unknown>;
  /** Called when the whole family is gone: ends the watcher and closes pipes that a lost child may still hold. */
  release(): void;
}

export interface SpawnOptions {
  readonly program: Program;
  readonly site: Site;
  readonly plan: StartPlan;
  readonly graceMs: number;
  readonly room?: Room | undefined;
  readonly onChunk: (stream: OutputName, chunk: Buffer) => void;
}

/** Throws FOLDER_MISSING or PROGRAM_MISSING when it cannot start. */
export async function spawnProgram(options: SpawnOptions): Promise<Spawned> {
  const {program, site, plan, room} = options;
  if (plan.cwd !== undefined) await checkFolder(plan.cwd);
  const {execa} = await loadExeca();
  const mark = randomBytes(16).toString('hex');
  // The watcher starts before the program: if tunl is killed between the two starts, the mark alone finds the program.
  const watcher = await startWatcher({mark, folder: site.folder, graceMs: options.graceMs});
  const stdin = plan.stdin === 'open' ? 'pipe' : (plan.stdin ?? 'ignore');
  // The words of the room replace themselves, so the process stays the same one.
  const [bin = '', ...args] = [
    ...(room?.prefix(plan.cwd ?? process.cwd()) ?? []),
    site.found.bin,
    ...site.found.lead,
    ...plan.args,
  ];
  const child = execa(bin, args, {
    env: environment(site.env, plan.env, mark),
    extendEnv: false,
    detached: true,
    cleanup: false,
    reject: false,
    buffer: false,
    stdin,
    stdout: 'pipe',
    stderr: 'pipe',
    ...(plan.cwd !== undefined && {cwd: plan.cwd}),
  });
  if (child.pid === undefined) {
    watcher.dismiss();
    const {code, cause} = await child;
    throw new TunlError('PROGRAM_MISSING', {
      reason: `${bin} cannot be started (${code ?? 'unknown reason'}).`,
      next: program.install,
      cause,
    });
  }
  watcher.guard(child.pid);
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].on('data', (chunk: Buffer) => options.onChunk(name, chunk));
    child[name].on('error', () => {});
  }
  child.stdin?.on('error', () => {});
  return {
    family: {group: child.pid, mark, waits: room?.waits},
    drained: Promise.all(
      [child.stdout, child.stderr].map((pipe) => new Promise((resolve) => pipe.once('close', resolve))),
    ),
    // execa's own promise also waits for the pipes, which a child of the program may hold open.
    exit: new Promise((resolve) => {
      child.nodeChildProcess.once('exit', (code, signal) => resolve({code, signal}));
    }),
    release: () => {
      watcher.dismiss();
      child.stdin?.destroy();
      child.stdout.destroy();
      child.stderr.destroy();
    },
  };
}

function environment(base: Site['env'], changes: StartPlan['env'], mark: string): NodeJS.ProcessEnv {
  const env = childEnv({...base, ...changes, [MARK]: mark});
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined));
}

/** A spawn in a missing folder would report that the program is missing. */
export async function checkFolder(path: string): Promise<void> {
  const reason = await stat(path).then(
    (stats) => (stats.isDirectory() ? undefined : `${path} is not a folder.`),
    (error: unknown) =>
      systemCode(error) === 'ENOENT'
        ? `${path} does not exist.`
        : `${path} cannot be entered (${systemCode(error)}).`,
  );
  if (reason !== undefined) throw new TunlError('FOLDER_MISSING', {reason});
}

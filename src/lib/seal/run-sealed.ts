// Runs one command in a sealed network as if it stood there alone: its own standard streams and terminal, its own signals, its
// own exit code.

import {type ChildProcess, type SpawnOptions, spawn} from 'node:child_process';
import {statSync} from 'node:fs';
import {constants} from 'node:os';
import {delimiter, join, resolve} from 'node:path';
import {childEnv} from '../core/child-env.js';
import {TunlError, toTunlError} from '../core/errors.js';
import {isExecutable} from '../core/executable.js';
import {mirrorSignals} from './mirror-signals.js';
import type {PrefixOptions} from './namespace-words.js';
import {openSeal, type Seal, type SealOptions} from './seal.js';

export interface RunSealedOptions extends PrefixOptions {
  /** Default: that of this process, without the secrets of tunl. */
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Default: those of this process. */
  readonly stdio?: SpawnOptions['stdio'] | undefined;
  /** Asks the command to end (SIGTERM), and kills it 10 s later. */
  readonly signal?: AbortSignal | undefined;
  /** False: signals that this process gets are not passed on, and keep their effect. Default true. */
  readonly mirrorsSignals?: boolean | undefined;
}

export interface SealedExit {
  /** As a shell reports it: 128 plus the number of the signal. */
  readonly code: number;
  readonly signal: NodeJS.Signals | null;
}

const GRACE_MS = 10_000;

/** As `openSeal`, for a command of the user. @throws TunlError SEAL_UNAVAILABLE when this machine cannot seal a network, ABORTED */
export async function openCommandSeal(options: SealOptions): Promise<Seal> {
  try {
    return await openSeal({ownProcesses: true, ...options});
  } catch (error) {
    if (options.signal?.aborted) throw new TunlError('ABORTED', {cause: error});
    const {code, message, next} = toTunlError(error);
    if (code !== 'SANDBOX_EGRESS') throw error;
    throw new TunlError('SEAL_UNAVAILABLE', {reason: message, next, cause: error});
  }
}

/** Resolves at the end of the command. @throws TunlError PROGRAM_MISSING, FOLDER_MISSING, SEAL_LOST */
export async function runSealed(
  seal: Seal,
  argv: readonly string[],
  {signal, mirrorsSignals, ...options}: RunSealedOptions = {},
): Promise<SealedExit> {
  checkCommand(argv, options);
  const env = childEnv(options.env);
  const exit = await endOf(() => seal.spawn(argv, {...options, env}), {signal, mirrorsSignals});
  // The end of the seal kills the command.
  const lost = exit.signal === 'SIGKILL' ? await seal.whyLost() : seal.lostBecause;
  if (lost !== undefined) throw sealLost(lost);
  return exit;
}

/** The same without a seal. @throws TunlError PROGRAM_MISSING, FOLDER_MISSING */
export async function runUnsealed(
  argv: readonly string[],
  {signal, mirrorsSignals, env, cwd, stdio = 'inherit'}: Omit<RunSealedOptions, 'uid' | 'gid'> = {},
): Promise<SealedExit> {
  checkCommand(argv, {cwd, env});
  const [program = '', ...args] = argv;
  return await endOf(() => spawn(program, args, {cwd, env: childEnv(env), stdio}), {signal, mirrorsSignals});
}

async function endOf(
  start: () => ChildProcess,
  {signal, mirrorsSignals = true}: Pick<RunSealedOptions, 'signal' | 'mirrorsSignals'>,
): Promise<SealedExit> {
  using mirror = mirrorsSignals ? mirrorSignals() : {onto: () => {}, [Symbol.dispose]: () => {}};
  const child = start();
  mirror.onto(child);
  let timer: NodeJS.Timeout | undefined;
  const abort = () => {
    child.kill('SIGTERM');
    timer = setTimeout(() => child.kill('SIGKILL'), GRACE_MS);
  };
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort, {once: true});
  try {
    const [code, by] = await new Promise<[number | null, NodeJS.Signals | null]>((done, failed) => {
      child.once('error', failed);
      child.once('exit', (...exit) => done(exit));
    });
    return {code: code ?? 128 + (by === null ? 0 : constants.signals[by]), signal: by};
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

/** The words before the command would report these mistakes as their own. @throws TunlError PROGRAM_MISSING, FOLDER_MISSING */
export function checkCommand(
  [bin = '']: readonly string[],
  {cwd, env}: Pick<RunSealedOptions, 'cwd' | 'env'>,
): void {
  if (cwd !== undefined && !isFolder(cwd))
    throw new TunlError('FOLDER_MISSING', {reason: `${cwd} is not a folder.`});
  const places = bin.includes('/')
    ? [resolve(cwd ?? '.', bin)]
    : ((env ?? process.env).PATH ?? '')
        .split(delimiter)
        .map((folder) => join(resolve(cwd ?? '.', folder), bin));
  if (bin === '' || !places.some((path) => isExecutable(path) && !isFolder(path)))
    throw new TunlError('PROGRAM_MISSING', {
      reason: `${bin || 'An empty name'} is neither an executable file nor a command in PATH.`,
      next: 'Check its spelling, or give its path.',
    });
}

function isFolder(path: string): boolean {
  return statSync(path, {throwIfNoEntry: false})?.isDirectory() === true;
}

export const sealLost = (detail: string): TunlError =>
  new TunlError('SEAL_LOST', {
    reason: `The sealed network was lost (${detail}), so the command was killed.`,
  });

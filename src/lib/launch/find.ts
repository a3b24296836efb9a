// Finds a program on this machine: the first of its candidates that exists.
import {constants} from 'node:fs';
import {access, stat} from 'node:fs/promises';
import {delimiter, isAbsolute, join, resolve} from 'node:path';
import {TunlError} from '../core/errors.js';
import type {Candidate, Found, Program} from './program.js';
import {run} from './run.js';

type Env = Readonly<NodeJS.ProcessEnv>;

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** The absolute path of an executable given by path or by name, or undefined. */
export async function which(bin: string, env: Env): Promise<string | undefined> {
  if (bin.includes('/')) {
    const path = resolve(bin);
    return (await isExecutable(path)) ? path : undefined;
  }
  for (const folder of (env.PATH ?? '').split(delimiter)) {
    // An empty or relative entry would make the result depend on the current folder.
    if (!isAbsolute(folder)) continue;
    const path = join(folder, bin);
    if (await isExecutable(path)) return path;
  }
  return undefined;
}

async function tryCandidate(candidate: Candidate, env: Env): Promise<Found | undefined> {
  const bin = await which(candidate.bin, env);
  if (bin === undefined) return undefined;
  if (candidate.check && (await run(bin, candidate.check, {env})).code !== 0) return undefined;
  return {bin, lead: candidate.lead ?? [], kind: candidate.kind ?? ''};
}

/** Throws PROGRAM_MISSING with a hint for the installation. `bin` is the user's own choice. */
export async function find(program: Program, env: Env, bin?: string): Promise<Found> {
  if (bin !== undefined) {
    const found = await tryCandidate(program.named?.(bin) ?? {bin}, env);
    if (found) return found;
    throw new TunlError('PROGRAM_MISSING', {
      reason: `${bin || 'An empty name'} is neither an executable file nor a command in PATH.`,
      next: 'Check the path given with --bin.',
    });
  }
  for (const candidate of program.candidates(env)) {
    const found = await tryCandidate(candidate, env);
    if (found) return found;
  }
  throw new TunlError('PROGRAM_MISSING', {reason: `${program.title} was not found.`, next: program.install});
}

/** Numbers of the first version in a text, like [4, 6, 1]. */
function versionIn(text: string): number[] | undefined {
  return /\d+(?:\.\d+)+/.exec(text)?.[0].split('.').map(Number);
}

/** Returns a TunlError when the found program is too old; undefined when it is not, or its version is unknown. */
export async function tooOld(program: Program, found: Found, env: Env): Promise<TunlError | undefined> {
  const oldest = program.oldest?.(found);
  if (!oldest) return undefined;
  const [bin, lead] = oldest.bin === undefined ? [found.bin, found.lead] : [oldest.bin, []];
  const {code, stdout, stderr} = await run(bin, [...lead, ...oldest.args], {env});
  const have = code === 0 ? versionIn(`${stdout}\n${stderr}`) : undefined;
  const need = versionIn(oldest.version);
  if (!have || !need) return undefined;
  for (const [i, part] of need.entries()) {
    const difference = (have[i] ?? 0) - part;
    if (difference > 0) return undefined;
    if (difference < 0) {
      return new TunlError('PROGRAM_TOO_OLD', {
        reason: `${program.title} (${found.bin}) is version ${have.join('.')}; ${oldest.version} or newer is needed.`,
        next: program.install,
      });
    }
  }
  return undefined;
}

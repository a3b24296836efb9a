// Runs a short command to its end: version checks, ssh-keygen, configuration tests. Never throws because of its exit status.

import {childEnv} from '../core/child-env.js';

export interface RunResult {
  /** Exit code; -1 when it could not be started, was killed or took too long. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  env?: Readonly<NodeJS.ProcessEnv>;
  /** Default 10,000. */
  timeoutMs?: number;
}

/** Loaded at first use, because most commands of tunl start no program. Call it early when a program will surely start. */
export const loadExeca = () => import('execa');

export async function run(
  bin: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const {execa} = await loadExeca();
  const result = await execa(bin, args, {
    env: childEnv(options.env),
    extendEnv: false,
    reject: false,
    timeout: options.timeoutMs ?? 10_000,
    forceKillAfterDelay: 1_000,
    maxBuffer: 4 * 1024 * 1024,
    stdin: 'ignore',
  });
  return {code: result.exitCode ?? -1, stdout: text(result.stdout), stderr: text(result.stderr)};
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

// A short command run to its end: version questions, ssh-keygen, configuration tests. Never throws for how it ended.
import {execFile} from 'node:child_process';

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

const MAX_OUTPUT_BYTES = 4 * 1024 * 1024;

export function run(bin: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const {env = process.env, timeoutMs: timeout = 10_000} = options;
  const settings = {env, timeout, killSignal: 'SIGKILL', maxBuffer: MAX_OUTPUT_BYTES} as const;
  return new Promise<RunResult>((resolve) => {
    const child = execFile(bin, args, settings, (error, stdout, stderr) => {
      const code = typeof error?.code === 'number' ? error.code : error ? -1 : 0;
      resolve({code, stdout, stderr});
    });
    child.stdin?.on('error', () => {});
    child.stdin?.end();
  }).catch(() => ({code: -1, stdout: '', stderr: ''}));
}

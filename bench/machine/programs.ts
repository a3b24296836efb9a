// Programs that the bench starts: each belongs to a scope, and none outlives this process.

import {Child, type ChildOptions} from '../../test/helpers/child.js';
import type {Scope} from '../../test/helpers/scope.js';

const groups = new Set<number>();
process.once('exit', () => {
  for (const group of groups) {
    try {
      process.kill(-group, 'SIGKILL');
    } catch {
      // It has ended.
    }
  }
});

/** Starts a program; it is stopped when the scope ends, and killed if this process ends first. */
export function start(
  scope: Scope,
  command: string,
  args: readonly string[],
  options: ChildOptions = {},
): Child {
  const child = Child.start(scope, command, args, options);
  groups.add(child.pid);
  child.exited.then(
    () => groups.delete(child.pid),
    () => {},
  );
  return child;
}

export interface RunOptions extends ChildOptions {
  /** After this time the program is stopped, and an error is thrown. */
  timeoutMs: number;
  /** Stops it. */
  signal: AbortSignal;
}

/** Runs a program to its end and returns its stdout; an exit code other than 0 is an error. */
export async function run(
  scope: Scope,
  command: string,
  args: readonly string[],
  {timeoutMs, signal, ...options}: RunOptions,
): Promise<string> {
  signal.throwIfAborted();
  const child = start(scope, command, args, options);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const stop = () => child.signal('SIGKILL');
  limit.addEventListener('abort', stop);
  try {
    const {code, stdout, stderr} = await child.finished();
    signal.throwIfAborted();
    if (limit.aborted) throw new Error(`${child.name} took more than ${timeoutMs} ms`);
    if (code !== 0) throw new Error(`${child.name} ended with ${code}: ${stderr.trim() || stdout.trim()}`);
    return stdout;
  } finally {
    limit.removeEventListener('abort', stop);
  }
}

/** The value, or an error after `timeoutMs`: for lines that a program should print. */
export async function within<T>(timeoutMs: number, what: string, value: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([value, late]);
  } finally {
    clearTimeout(timer);
  }
}

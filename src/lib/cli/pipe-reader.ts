// Notices without a write that nobody reads a pipe any more: after the address nothing may be written for hours, and Node
// cannot poll the writing end. Linux shows which processes hold the other end; on other systems only the next write shows it.

import {fstatSync} from 'node:fs';
import {readdir, readFile, readlink} from 'node:fs/promises';

/** Interval of the check, ms. */
const LOOK_EVERY_MS = 500;
/** A shell, `npx` and a few scripts may be between a pipeline's shell and this process. */
const MAX_ANCESTORS = 8;
/** Access mode in the last octal digit of `flags:` in fdinfo: 0 reads, 1 writes, 2 both. */
const WRITE_ONLY = '1';

export interface PipeReaderOptions {
  /** The descriptor of the writing end. */
  fd: number;
  /** Called once, when a known reader is gone and no other one is found. */
  onGone: () => void;
}

/**
 * Looks for readers among the ancestors of this process and their children, where those of a pipeline, a substitution or a
 * parent program are. A reader that it never found (a process of another user, or outside the container) does not count as
 * gone.
 */
export function watchPipeReader({fd, onGone}: PipeReaderOptions): Disposable {
  const pipe = pipeOf(fd);
  let timer: NodeJS.Timeout | undefined;
  let disposed = false;
  const look = async (known: readonly string[]) => {
    const readers = (await stillOpen(known, pipe)) ? known : await findReaders(pipe);
    if (disposed) return;
    if (readers.length === 0) {
      if (known.length > 0) onGone();
      return;
    }
    timer = setTimeout(() => void look(readers), LOOK_EVERY_MS).unref();
  };
  if (pipe !== '') void look([]);
  return {
    [Symbol.dispose]() {
      disposed = true;
      clearTimeout(timer);
    },
  };
}

/** The name of the pipe in /proc, or '' if there is nothing to watch. */
function pipeOf(fd: number): string {
  try {
    const stat = fstatSync(fd);
    return process.platform === 'linux' && stat.isFIFO() ? `pipe:[${stat.ino}]` : '';
  } catch {
    // The parent process has closed it.
    return '';
  }
}

/** Paths of descriptors, like `/proc/7/fd/0`. */
async function findReaders(pipe: string): Promise<string[]> {
  const seen = new Set([process.pid]);
  for (let pid = process.ppid, height = 0; pid > 0 && height < MAX_ANCESTORS; height += 1) {
    const near = [pid, ...(await childrenOf(pid))].filter((other) => !seen.has(other));
    for (const other of near) seen.add(other);
    const found = (await Promise.all(near.map((other) => readersIn(other, pipe)))).flat();
    if (found.length > 0) return found;
    pid = await parentOf(pid);
  }
  return [];
}

async function readersIn(pid: number, pipe: string): Promise<string[]> {
  const names = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const readers = await Promise.all(
    names.map(async (name) => {
      const path = `/proc/${pid}/fd/${name}`;
      if ((await target(path)) !== pipe) return [];
      const info = await text(`/proc/${pid}/fdinfo/${name}`);
      return /^flags:\s*\d*(\d)$/m.exec(info)?.[1] === WRITE_ONLY ? [] : [path];
    }),
  );
  return readers.flat();
}

async function stillOpen(paths: readonly string[], pipe: string): Promise<boolean> {
  return (await Promise.all(paths.map(target))).includes(pipe);
}

async function childrenOf(pid: number): Promise<number[]> {
  return (await text(`/proc/${pid}/task/${pid}/children`)).split(' ').map(Number).filter(Boolean);
}

async function parentOf(pid: number): Promise<number> {
  return Number(/^PPid:\s*(\d+)$/m.exec(await text(`/proc/${pid}/status`))?.[1] ?? 0);
}

/** '' for an entry that is gone or unreadable. */
const target = (path: string) => readlink(path).catch(() => '');
const text = (path: string) => readFile(path, 'utf8').catch(() => '');

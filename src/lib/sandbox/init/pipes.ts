// Real pipes for the input and output of programs. Node gives its children sockets, which cannot be opened by a path: with those
// `echo > /dev/stdout` and `cat /dev/stdin` fail, and a reader that goes away is no SIGPIPE.
//
// Node can make no pipe, but a shell can: the members of a pipeline wait while their pipes are opened through /proc. Named pipes
// would not do: `cat /dev/stdin` would wait for ever when the writer has gone before.

import {spawn} from 'node:child_process';
import {closeSync, constants, openSync, readlinkSync} from 'node:fs';
import {createInterface} from 'node:readline';
import type {Readable, Writable} from 'node:stream';

const {O_RDONLY, O_RDWR, O_WRONLY, O_NONBLOCK} = constants;

/** Pipes that are made together: for two programs. */
const AT_ONCE = 6;
/** With fewer pipes than this new ones are made in the background: enough for one program. */
const FEW = 3;
const MAKE_TIMEOUT_MS = 5_000;

/** Each member tells its pid and waits for the end of descriptor 3. The output of each but the last is a pipe. */
const MEMBER = '{ read -r p x < /proc/self/stat; echo "$p" >&4; read -r x <&3; }';
const PIPELINE = Array.from({length: AT_ONCE + 1}, () => MEMBER).join(' | ');

/** Descriptors of the two ends. The program's end blocks, as programs expect. */
export interface PipeEnds {
  own: number;
  program: number;
}

export class Pipes {
  #stock: number[] = [];
  #making: Promise<void> | undefined;

  /** Makes pipes ahead of their use. Never rejects. */
  prepare(): Promise<void> {
    this.#making ??= this.#make().finally(() => {
      this.#making = undefined;
    });
    return this.#making;
  }

  /** Undefined when there can be none: there is no shell, no /proc, or no room for its processes. */
  async take(count: number): Promise<number[] | undefined> {
    if (this.#stock.length < count) await this.prepare();
    if (this.#stock.length < count) return undefined;
    const taken = this.#stock.splice(0, count);
    if (this.#stock.length < FEW) void this.prepare();
    return taken;
  }

  async #make(): Promise<void> {
    try {
      const shell = spawn('sh', ['-c', PIPELINE], {
        stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
        timeout: MAKE_TIMEOUT_MS,
        killSignal: 'SIGKILL',
      });
      shell.on('error', () => {});
      const [, , , hold, told] = shell.stdio as unknown as [null, null, null, Writable, Readable];
      for (const end of [hold, told]) end.on('error', () => {});
      let members = 0;
      for await (const pid of createInterface({input: told})) {
        const fd = openOutput(pid);
        if (fd !== undefined) this.#stock.push(fd);
        members += 1;
        if (members > AT_ONCE) break;
      }
      hold.destroy();
      told.destroy();
    } catch {
      // The programs get sockets.
    }
  }
}

/** The pipe that is the standard output of a process. Undefined for the last member, whose output is none. */
function openOutput(pid: string): number | undefined {
  const path = `/proc/${pid}/fd/1`;
  try {
    if (!readlinkSync(path).startsWith('pipe:')) return undefined;
    return openSync(path, O_RDWR | O_NONBLOCK);
  } catch {
    return undefined;
  }
}

/** Both ends of pipes that came from `take`, which are used up. When one cannot be opened, none stays open. */
export function openPipes(
  pipes: readonly number[],
  programs: readonly ('reads' | 'writes')[],
): readonly PipeEnds[] {
  const ends: PipeEnds[] = [];
  const rest = [...pipes];
  try {
    for (const program of programs) ends.push(openPipe(rest.shift() as number, program));
    return ends;
  } catch (error) {
    for (const fd of [...ends.flatMap(({own, program}) => [own, program]), ...rest]) closeSync(fd);
    throw error;
  }
}

/** The pipe is used up. */
function openPipe(pipe: number, program: 'reads' | 'writes'): PipeEnds {
  const [own, its] = program === 'reads' ? [O_WRONLY, O_RDONLY] : [O_RDONLY, O_WRONLY];
  try {
    const ends = {own: openSync(pathOf(pipe), own | O_NONBLOCK), program: -1};
    try {
      ends.program = openSync(pathOf(pipe), its);
    } catch (error) {
      closeSync(ends.own);
      throw error;
    }
    return ends;
  } finally {
    closeSync(pipe);
  }
}

function pathOf(fd: number): string {
  return `/proc/self/fd/${fd}`;
}

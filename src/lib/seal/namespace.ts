// A network namespace of our own, with nothing but loopback in it, and the words that run a program there.

import {type ChildProcess, spawn} from 'node:child_process';
import type {Socket as UdpSocket} from 'node:dgram';
import {once} from 'node:events';
import {closeSync, openSync} from 'node:fs';
import type {Server} from 'node:net';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import {packageRoot} from '../core/package-root.js';
import type {DoorMessage} from './doors.js';
import {ruleset} from './doorway.js';
import {HOLDER, type HolderWord, PROGRAM_PATH} from './holder.js';
import {killInside} from './leftovers.js';
import {
  holderObstacle,
  isPrivileged,
  missing,
  namespaceObstacle,
  programPath,
  sealError,
} from './obstacles.js';

/** For each step of the holder, ms. The slowest is the start of Node. */
const STEP_TIMEOUT_MS = 20_000;
const MAX_STDERR = 4_096;

export interface PrefixOptions {
  /** The user and group of the program. Only root may set them. Default: those of this process. */
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** Its working directory. Default: the root. */
  readonly cwd?: string | undefined;
}

export interface NamespaceEvents {
  /** A listener has come out of the namespace. */
  onDoor: (server: Server) => void;
  onResolver: (socket: UdpSocket) => void;
  /** The holder has ended although nobody has closed it. */
  onLost: (detail: string) => void;
}

export class Namespace {
  readonly #child: ChildProcess;
  /** Open descriptors keep the namespaces, and their paths never lead to those of another process. */
  readonly #files: {readonly net: number; readonly mnt: number; readonly user: number | undefined};
  readonly #lines: AsyncIterator<string>;
  readonly #stderr: () => string;
  readonly #ended: Promise<undefined>;
  #steps: Promise<unknown> = Promise.resolve();
  #opening: Promise<void> | undefined;
  #isClosed = false;

  private constructor(
    child: ChildProcess,
    {
      lines,
      stderr,
      ended,
      inUser,
    }: {lines: AsyncIterator<string>; stderr: () => string; ended: Promise<undefined>; inUser: boolean},
  ) {
    this.#ended = ended;
    this.#child = child;
    this.#lines = lines;
    this.#stderr = stderr;
    const file = (name: string) => openSync(`/proc/${child.pid}/ns/${name}`, 'r');
    this.#files = {net: file('net'), mnt: file('mnt'), user: inUser ? file('user') : undefined};
  }

  /** @throws TunlError SANDBOX_EGRESS */
  static async open({onDoor, onResolver, onLost}: NamespaceEvents, signal?: AbortSignal): Promise<Namespace> {
    const obstacle = missing(['unshare', 'nsenter', 'setpriv', 'ip', 'nft']);
    if (obstacle !== undefined) throw sealError(obstacle);
    signal?.throwIfAborted();
    const inUser = !isPrivileged();
    const child = startHolder(inUser);
    child.on('message', (message, handle) => {
      if ('door' in (message as DoorMessage)) onDoor(handle as Server);
      else onResolver(handle as unknown as UdpSocket);
    });
    const stderr = gather(child);
    const lines = createInterface({input: child.stdout as NodeJS.ReadableStream})[Symbol.asyncIterator]();
    // The lines of a pipe that is destroyed have no end.
    const gone = () => undefined;
    const ended = once(child, 'exit').then(gone, gone);
    const first = await deadline(Promise.race([lines.next(), ended]));
    if (first === undefined || first.done === true || first.value !== 'up 0') {
      kill(child);
      await ended;
      throw sealError(namespaceObstacle(stderr()));
    }
    const namespace = new Namespace(child, {lines, stderr, ended, inUser});
    child.once('exit', (code, by) => {
      if (!namespace.#isClosed) onLost(`its holder ended (${by ?? code})`);
    });
    if (signal?.aborted) {
      await namespace.close();
      signal.throwIfAborted();
    }
    return namespace;
  }

  /** The path of the network namespace, for programs that join it. It is gone when the seal is closed. */
  get path(): string {
    return fileOf(this.#files.net);
  }

  /** Waits for the answer. @throws TunlError SANDBOX_EGRESS, also for each later word when `open` has failed */
  tell(word: HolderWord): Promise<void> {
    const before = word === 'open' ? undefined : this.#opening;
    const step = this.#steps.then(async () => {
      await before;
      this.#child.stdin?.write(`${word}\n`);
      if (word === 'open') (this.#child.stdio[4] as NodeJS.WritableStream).end(ruleset());
      const line = await deadline(Promise.race([this.#lines.next(), this.#ended]));
      const [said, code] = (line?.value ?? '').split(' ');
      if (said !== word || code !== '0') throw sealError(holderObstacle(Number(code ?? 75), this.#stderr()));
    });
    if (word === 'open') this.#opening = step;
    this.#steps = step.catch(() => {});
    return step;
  }

  /**
   * The words before a command that runs in the namespace, with all capabilities gone. They mean this process's descriptors:
   * only this process can use them, as long as the seal is open.
   */
  prefix({uid, gid, cwd}: PrefixOptions = {}): string[] {
    const {net, mnt, user} = this.#files;
    const isRoot = process.getuid?.() === 0;
    return [
      programPath('nsenter') ?? 'nsenter',
      `--net=${fileOf(net)}`,
      `--mount=${fileOf(mnt)}`,
      ...(user === undefined ? [] : [`--user=${fileOf(user)}`, '--preserve-credentials']),
      '--',
      programPath('setpriv') ?? 'setpriv',
      '--no-new-privs',
      // It would run on without a way out, but nobody would end it.
      '--pdeathsig=KILL',
      '--inh-caps=-all',
      '--ambient-caps=-all',
      // An ordinary user has lost all capabilities by now, and may not change this set.
      ...(isRoot ? ['--bounding-set=-all'] : []),
      ...(uid === undefined ? [] : [`--reuid=${uid}`, `--regid=${gid ?? uid}`, '--clear-groups']),
      '--',
      ...(cwd === undefined ? [] : ['/bin/sh', '-c', 'cd "$0" && exec "$@"', cwd]),
    ];
  }

  /** Ends everything that runs in the namespace. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    kill(this.#child);
    await this.#ended;
    await killInside(this.#files.net);
    const {net, mnt, user} = this.#files;
    for (const file of [net, mnt, user]) if (file !== undefined) closeSync(file);
  }
}

const fileOf = (descriptor: number): string => `/proc/${process.pid}/fd/${descriptor}`;

function startHolder(inUser: boolean): ChildProcess {
  const doors = fileURLToPath(new URL('dist/bundle/seal/doors.js', packageRoot));
  const user = inUser ? ['--user', '--map-current-user', '--keep-caps'] : [];
  return spawn(
    programPath('unshare') ?? 'unshare',
    [...user, '--net', '--mount', '--', '/bin/sh', '-c', HOLDER, 'tunl-seal', process.execPath, doors],
    {
      // A signal for the terminal's group must not open the seal while its programs drain.
      detached: true,
      cwd: '/',
      env: {PATH: PROGRAM_PATH},
      stdio: ['pipe', 'pipe', 'pipe', 'ipc', 'pipe'],
    },
  );
}

function gather(child: ChildProcess): () => string {
  let text = '';
  child.stderr?.on('data', (piece: Buffer) => {
    if (text.length < MAX_STDERR) text += piece.toString('latin1');
  });
  // Its end closes the pipes while something is being written; `exit` tells of that.
  for (const pipe of [child.stdin, child.stdio[4]]) pipe?.on('error', () => {});
  child.on('error', (error) => {
    text += error.message;
  });
  return () => text;
}

function kill(child: ChildProcess): void {
  child.kill('SIGKILL');
  for (const pipe of child.stdio) pipe?.destroy();
  if (child.connected) child.disconnect();
}

/** Undefined when the time is over. */
async function deadline<T>(step: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), STEP_TIMEOUT_MS);
  });
  try {
    return await Promise.race([step, late]);
  } finally {
    clearTimeout(timer);
  }
}

// Starts bwrap with everything that it reads from descriptors, and watches its end.

import {type ChildProcess, spawn} from 'node:child_process';
import type {Socket} from 'node:net';
import type {Readable, Writable} from 'node:stream';
import {FD} from './arguments.js';

export interface LaunchInput {
  /** The shell that reads the script, with what comes before it. */
  readonly words: readonly string[];
  readonly script: string;
  readonly arguments: readonly string[];
  readonly filter: Buffer | undefined;
  /** The first word asks the manager of systemd. */
  readonly bySystemd: boolean;
}

export interface Launched {
  readonly pid: number;
  /** To the init. */
  readonly socket: Socket;
  /** Resolves when bwrap has ended. Never rejects. */
  readonly ended: Promise<void>;
  /** The last lines of what bwrap, the script, and Node itself in the init have said. */
  said(): string;
  /** Kills bwrap, and with it everything inside. */
  kill(): void;
}

const MAX_SAID = 4_096;
/** Variables that the manager of systemd is found by. All others stay out: bwrap’s can be read inside. */
const VARIABLES = ['XDG_RUNTIME_DIR', 'DBUS_SESSION_BUS_ADDRESS'];
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** @throws the error of the system if the first program cannot be started. */
export async function launch({
  words,
  script,
  arguments: list,
  filter,
  bySystemd,
}: LaunchInput): Promise<Launched> {
  const [program = '', ...rest] = words;
  const env = Object.fromEntries(
    (bySystemd ? VARIABLES : []).flatMap((name) =>
      process.env[name] === undefined ? [] : [[name, process.env[name]]],
    ),
  );
  const child = spawn(program, rest, {
    // Ctrl+C in a terminal is for the owner, which gives the command its time.
    detached: true,
    cwd: '/',
    env: {...env, PATH, LANG: 'C.UTF-8'},
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe'],
  });
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  send(child, FD.script, script);
  send(child, FD.arguments, list.map((word) => `${word}\0`).join(''));
  send(child, FD.filter, filter ?? '');
  const said = collect(child.stderr as Readable);
  return {
    pid: child.pid ?? 0,
    socket: child.stdio[FD.init] as Socket,
    ended,
    said,
    kill: () => void child.kill('SIGKILL'),
  };
}

function send(child: ChildProcess, fd: number, content: string | Buffer): void {
  const pipe = child.stdio[fd] as Writable;
  // A program that ends early does not read it; its exit tells why.
  pipe.on('error', () => {});
  pipe.end(content);
  (pipe as Readable & Writable).resume();
}

function collect(stream: Readable): () => string {
  let text = '';
  stream.setEncoding('utf8');
  stream.on('error', () => {});
  stream.on('data', (piece: string) => {
    text = (text + piece).slice(-MAX_SAID);
  });
  return () => text;
}

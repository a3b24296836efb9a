// A program of one member: it starts in the member's namespaces, without capabilities, in a session of its own.

import {type ChildProcess, spawn} from 'node:child_process';
import type {Readable} from 'node:stream';
import {programPath} from '../obstacles.js';
import {childOf} from '../own-processes.js';

export interface MemberCommand {
  readonly argv: readonly string[];
  readonly env: Readonly<NodeJS.ProcessEnv>;
  readonly cwd: string;
}

export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface MemberProcess {
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly exited: Promise<ProcessExit>;
  /** To the program and its process group. */
  kill(signal: NodeJS.Signals): void;
}

/** Descriptors of this process, each of a namespace. */
export interface NamespaceFiles {
  readonly user: number | undefined;
  readonly net: number;
  readonly pid?: number;
  readonly mount?: number;
  readonly uts?: number;
}

/** The words that enter the namespaces. */
export function entering({user, ...others}: NamespaceFiles): string[] {
  const fileOf = (descriptor: number) => `/proc/${process.pid}/fd/${descriptor}`;
  return [
    programPath('nsenter') ?? 'nsenter',
    ...(user === undefined ? [] : [`--user=${fileOf(user)}`, '--preserve-credentials']),
    ...Object.entries(others).map(([kind, file]) => `--${kind}=${fileOf(file)}`),
    '--',
  ];
}

/** Takes all capabilities away for good. */
export const dropping = (): readonly string[] => [
  programPath('setpriv') ?? 'setpriv',
  ...['--no-new-privs', '--inh-caps=-all', '--ambient-caps=-all'],
  // An ordinary user has lost all capabilities by now, and may not change this set.
  ...(process.getuid?.() === 0 ? ['--bounding-set=-all'] : []),
  '--',
];

export function startInside(files: NamespaceFiles, {argv, env, cwd}: MemberCommand): MemberProcess {
  const [program = '', ...words] = [
    ...entering(files),
    programPath('setsid') ?? 'setsid',
    ...dropping(),
    ...['/bin/sh', '-c', 'cd "$0" && exec "$@"', cwd, ...argv],
  ];
  const child = spawn(program, words, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
    cwd: '/',
    detached: true,
  });
  let isOver = false;
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once('exit', (code, signal) => {
      isOver = true;
      resolve({code, signal});
    });
    child.once('error', () => {
      isOver = true;
      resolve({code: 126, signal: null});
    });
  });
  return {
    stdout: child.stdout,
    stderr: child.stderr,
    exited,
    kill: (signal) => void (isOver || signalInside(child, signal)),
  };
}

/**
 * `nsenter` waits outside for its only child, the program, and ends as that does. It passes no signal on, and would end at
 * once itself.
 */
function signalInside(child: ChildProcess, signal: NodeJS.Signals): void {
  const leader = childOf(child.pid);
  if (leader === undefined) return void child.kill('SIGKILL');
  for (const target of [-leader, leader]) {
    try {
      process.kill(target, signal);
      return;
    } catch {
      // It is not the leader of a group yet, or it has ended.
    }
  }
}

// The arguments of bwrap for a sandbox. They go through a descriptor, so that nothing of a user stands in the list of processes.

import type {SandboxLimits} from '../spec.js';
import type {CheckedMount} from './check-mounts.js';
import {ACCOUNT, HOSTNAME} from './etc-files.js';
import {isHostTool, type Shown} from './host-tools.js';

/** Paths inside. */
export const INSIDE = {
  init: '/opt/tunl/init.cjs',
  node: '/opt/tunl/bin/node',
} as const;

/** The environment of every program inside; the sandbox's own environment is sent to the init, because it may have secrets. */
const BASE_ENV = {
  // The node of tunl comes last: one of the host's own is preferred.
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/tunl/bin',
  HOME: ACCOUNT.home,
  USER: ACCOUNT.name,
  LOGNAME: ACCOUNT.name,
  LANG: 'C.UTF-8',
} as const;

/** Descriptors of bwrap. The init inherits the first one only. */
export const FD = {init: 3, arguments: 4, filter: 5, script: 6} as const;

export interface ArgumentsOptions {
  readonly shown: readonly Shown[];
  readonly mounts: readonly CheckedMount[];
  readonly limits: SandboxLimits;
  /** Undefined: the home folder. */
  readonly workdir?: string | undefined;
  readonly hasFilter: boolean;
  /** It keeps the network namespace that it is started in. */
  readonly sharesNetwork: boolean;
}

/** Shared memory gets at most this part of the disk's bytes, and at most this many; it has a file system of its own. */
const SHARED_PART = 1 / 4;
const MAX_SHARED_BYTES = 64 * 1024 * 1024;

export function bwrapArguments(options: ArgumentsOptions): string[] {
  const {shown, mounts, limits, hasFilter, sharesNetwork} = options;
  const workdir = options.workdir ?? ACCOUNT.home;
  const {diskBytes} = limits;
  const sharedBytes =
    diskBytes === undefined
      ? MAX_SHARED_BYTES
      : Math.min(MAX_SHARED_BYTES, Math.floor(diskBytes * SHARED_PART));
  const size = (bytes: number) => ['--size', String(bytes)];
  return [
    '--unshare-all',
    ...(sharesNetwork ? ['--share-net'] : []),
    '--unshare-user',
    ...['--uid', String(ACCOUNT.uid), '--gid', String(ACCOUNT.gid)],
    ...['--hostname', HOSTNAME],
    ...['--cap-drop', 'ALL'],
    '--disable-userns',
    '--new-session',
    '--die-with-parent',
    // One file system for everything that programs write, so that one size holds for all of it.
    ...(diskBytes === undefined ? [] : size(diskBytes - sharedBytes)),
    ...['--tmpfs', '/'],
    ...shown.flatMap(argumentsFor),
    ...['--proc', '/proc'],
    ...['--dev', '/dev'],
    ...size(sharedBytes),
    ...['--perms', '1777', '--tmpfs', '/dev/shm'],
    // Its other folders would be a place to write without a limit.
    ...['--remount-ro', '/dev'],
    ...folders(),
    ...mounts.flatMap(({source, target, readOnly}) => [readOnly ? '--ro-bind' : '--bind', source, target]),
    ...(isWritable(workdir, mounts) ? ['--dir', workdir] : []),
    '--clearenv',
    ...Object.entries(BASE_ENV).flatMap(([name, value]) => ['--setenv', name, value]),
    ...['--chdir', ACCOUNT.home],
    ...(hasFilter ? ['--seccomp', String(FD.filter)] : []),
  ];
}

function argumentsFor(shown: Shown): string[] {
  if (shown.kind === 'link') return ['--symlink', shown.text, shown.target];
  return ['--ro-bind', shown.source, shown.target];
}

function folders(): string[] {
  const folder = (path: string, mode: string) => ['--perms', mode, '--dir', path];
  return [
    ...folder('/tmp', '1777'),
    ...folder('/var', '0755'),
    ...folder('/var/tmp', '1777'),
    ...folder('/run', '0755'),
    ...['--symlink', '../run', '/var/run'],
    ...folder(ACCOUNT.home, '0755'),
  ];
}

/** The working directory may be missing below what is the sandbox's own. */
function isWritable(path: string, mounts: readonly CheckedMount[]): boolean {
  const isBelow = (top: string) => path === top || path.startsWith(`${top}/`);
  return !isHostTool(path) && !['/proc', '/dev'].some(isBelow) && !mounts.some(({target}) => isBelow(target));
}

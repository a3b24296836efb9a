// The words before a holder, and before a command that runs in its namespaces.

import {readFileSync} from 'node:fs';
import {OF_CONTAINER, RUN_TEXT} from './holder.js';
import {fileOf, type NamespaceFiles} from './namespace-files.js';
import {programPath} from './obstacles.js';
import {forking, inOwnProcesses} from './own-processes.js';

export interface PrefixOptions {
  /** The user and group of the program. Only root may set them. Default: those of this process. */
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** Its working directory. Default: the root. */
  readonly cwd?: string | undefined;
}

/** They take all capabilities away. They mean descriptors of this process. */
export function insideWords(files: NamespaceFiles, {uid, gid, cwd}: PrefixOptions): string[] {
  const {net, mnt, user, uts, pid} = files;
  const isRoot = process.getuid?.() === 0;
  return [
    programPath('nsenter') ?? 'nsenter',
    `--net=${fileOf(net)}`,
    ...(mnt === undefined ? [] : [`--mount=${fileOf(mnt)}`]),
    ...(uts === undefined ? [] : [`--uts=${fileOf(uts)}`]),
    ...(user === undefined ? [] : [`--user=${fileOf(user)}`, '--preserve-credentials']),
    ...(pid === undefined ? [] : [`--pid=${fileOf(pid)}`, '--no-fork']),
    '--',
    ...(pid === undefined ? [] : forking()),
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

export function newNamespaces({
  inUser,
  isMember,
  ownProcesses,
}: {
  inUser: boolean;
  isMember: boolean;
  ownProcesses: boolean;
}): readonly string[] {
  const unsharing = [
    programPath('unshare') ?? 'unshare',
    ...(inUser ? ['--user', '--map-current-user', '--keep-caps'] : []),
    ...(isMember ? ['--uts'] : []),
    ...['--net', '--mount'],
  ];
  const words = ownProcesses ? inOwnProcesses(unsharing) : unsharing;
  return [...words, '--', '/bin/sh', '-c', RUN_TEXT, 'tunl-seal'];
}

/** As an ordinary user it becomes root of the container's user namespace, or is root there already. */
export const joining = ({net, user}: NamespaceFiles, pid: number): readonly string[] => [
  programPath('nsenter') ?? 'nsenter',
  `--net=${fileOf(net)}`,
  ...(user === undefined ? [] : [`--user=${fileOf(user)}`]),
  ...(user !== undefined && isRootInside(pid) ? ['--preserve-credentials'] : []),
  ...['--', '/bin/sh', '-c', RUN_TEXT, OF_CONTAINER],
];

function isRootInside(pid: number): boolean {
  const [inside, outside] = readFileSync(`/proc/${pid}/uid_map`, 'latin1').trim().split(/\s+/);
  return inside === '0' && Number(outside) === process.getuid?.();
}

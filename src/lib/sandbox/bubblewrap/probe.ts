// The abilities of bubblewrap on this machine, found by a trial that takes milliseconds.

import {existsSync} from 'node:fs';
import {release} from 'node:os';
import {toTunlError} from '../../core/errors.js';
import type {BackendReport, Finding} from '../backend.js';
import type {GroupMaker} from '../limits/control-group.js';
import {findGroups} from '../limits/find-groups.js';
import {explain, MISSING, missingProgram, type Obstacle, readKernelSettings, tooOld} from './findings.js';
import {tryNetwork} from './network.js';
import {takeUid} from './own-uid.js';
import {findProgram, runShort} from './programs.js';
import {seccompFilter} from './seccomp.js';

/** Since this version the kernel counts the processes of a user in each user namespace apart. */
const COUNTED_SINCE: readonly [major: number, minor: number] = [5, 14];

export interface Programs {
  readonly bwrap: string;
  readonly shell: string;
  /** Sets limits inside, by its path there; undefined: none. */
  readonly prlimit: string | undefined;
}

/** The facts for a start. */
export interface Prepared {
  readonly programs: (Programs & {readonly version: string}) | Obstacle;
  readonly groups: GroupMaker;
  readonly limits: BackendReport['limits'];
}

export const isRoot = (): boolean => process.getuid?.() === 0;

/** Starts no sandbox, and is quick. */
export async function prepare(): Promise<Prepared> {
  const [groups, programs] = await Promise.all([findGroups(), findPrograms()]);
  const prlimit = 'why' in programs ? undefined : programs.prlimit;
  const limits: BackendReport['limits'] = {
    memoryBytes: groups.findings.memoryBytes,
    cpus: groups.findings.cpus,
    pids: pidsFinding(groups, prlimit),
    diskBytes: {what: 'size of the file system in memory', reality: 'real'},
    openFiles: prlimit === undefined ? NO_PRLIMIT : {what: 'limit of each process', reality: 'real'},
  };
  return {programs, groups, limits};
}

/** Also tries out namespaces and the sealed network. */
export async function probe(): Promise<BackendReport> {
  const [{programs, limits}, egress] = await Promise.all([prepare(), tryNetwork()]);
  const obstacle = 'why' in programs ? programs : await tryOut(programs);
  return {
    name: 'bubblewrap',
    available: obstacle === undefined,
    version: 'why' in programs ? undefined : programs.version,
    why: obstacle?.why,
    mend: obstacle?.mend,
    limits,
    egress,
    notes: notes(),
  };
}

const NO_PRLIMIT: Finding = {
  what: 'limits of processes',
  reality: 'none',
  ...missingProgram('prlimit', 'util-linux'),
};

/** All processes of a sandbox have one user in one user namespace, so the limit of a user is the limit of the sandbox. */
export function pidsFinding(groups: GroupMaker, prlimit: string | undefined, kernel = release()): Finding {
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10));
  const isCounted = major > COUNTED_SINCE[0] || (major === COUNTED_SINCE[0] && minor >= COUNTED_SINCE[1]);
  if (groups.findings.pids.reality === 'real') return groups.findings.pids;
  if (prlimit !== undefined && isCounted)
    return {what: 'limit of the user inside its user namespace', reality: 'real'};
  return groups.findings.pids;
}

function notes(): string[] {
  const list = [];
  if (isRoot()) list.push('Below root each sandbox runs as a user of its own, which no account has.');
  if (seccompFilter(process.arch) === undefined)
    list.push(`There is no filter of system calls for ${process.arch}.`);
  return list;
}

async function findPrograms(): Promise<(Programs & {version: string}) | Obstacle> {
  if (process.platform !== 'linux')
    return {why: 'bubblewrap needs Linux.', mend: 'Use podman or docker on this system.'};
  const bwrap = findProgram('bwrap');
  if (bwrap === undefined) return MISSING;
  const shell = findProgram('bash') ?? findProgram('sh');
  if (shell === undefined) return missingProgram('sh', 'dash');
  for (const name of isRoot() ? ['unshare', 'setpriv', 'mount', 'stat'] : [])
    if (findProgram(name) === undefined) return missingProgram(name, 'util-linux');
  const {stdout} = await runShort(bwrap, ['--version']);
  const version = stdout.trim();
  const old = tooOld(version);
  if (old !== undefined) return old;
  const prlimit = ['/usr/bin/prlimit', '/bin/prlimit'].find((path) => existsSync(path));
  return {bwrap, shell, prlimit, version};
}

/** The same kinds of namespaces as a sandbox has. */
async function tryOut({bwrap}: Programs): Promise<Obstacle | undefined> {
  const words = [
    ...['--unshare-all', '--unshare-user', '--uid', '1000', '--gid', '1000', '--cap-drop', 'ALL'],
    ...[
      '--disable-userns',
      '--new-session',
      '--die-with-parent',
      '--tmpfs',
      '/',
      '--ro-bind',
      '/usr',
      '/usr',
    ],
    ...[
      '--ro-bind-try',
      '/lib',
      '/lib',
      '--ro-bind-try',
      '/lib64',
      '/lib64',
      '--ro-bind-try',
      '/bin',
      '/bin',
    ],
    ...['--ro-bind-try', '/nix/store', '/nix/store', '--proc', '/proc', '--dev', '/dev', '--', 'true'],
  ];
  try {
    const {code, stderr} = await asOwnUser(bwrap, words);
    return code === 0 ? undefined : explain(stderr, await readKernelSettings());
  } catch (error) {
    const {message, next} = toTunlError(error);
    return {why: message, mend: next};
  }
}

async function asOwnUser(bwrap: string, words: readonly string[]) {
  if (!isRoot()) return await runShort(bwrap, words);
  const own = await takeUid();
  try {
    const ids = [`--reuid=${own.uid}`, `--regid=${own.uid}`, '--clear-groups', '--inh-caps=-all'];
    const mounts = ['--mount', '--propagation', 'private', '--'];
    return await runShort('unshare', [...mounts, 'setpriv', ...ids, '--', bwrap, ...words]);
  } finally {
    own.release();
  }
}

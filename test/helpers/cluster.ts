// `tunl cluster …` as root or as an ordinary user, with a state folder of its own.

import {chown} from 'node:fs/promises';
import type {ClusterEvent} from '../../src/lib/cluster/events.js';
import {Child, type ChildOptions} from './child.js';
import {entry} from './cli.js';
import type {Scope} from './scope.js';
import {type Device, withDevice} from './tun-device.js';

export type User = 'root' | 'user';

const UID = 1000;
const isRoot = process.getuid?.() === 0;

/** An ordinary user can only test as itself. */
export const USERS: readonly User[] = isRoot ? ['root', 'user'] : ['user'];

const AS: Readonly<Record<User, readonly string[]>> = {
  root: [],
  user: isRoot ? ['setpriv', `--reuid=${UID}`, `--regid=${UID}`, '--clear-groups', '--'] : [],
};

export async function startCluster(
  scope: Scope,
  user: User,
  words: readonly string[],
  {stdoutFile, device, ...options}: ChildOptions & {stdoutFile?: string; device?: Device} = {},
): Promise<Child> {
  const stateDir = await scope.tempDir('cluster');
  if (isRoot && user === 'user') await chown(stateDir, UID, UID);
  const into = stdoutFile === undefined ? [] : ['sh', '-c', 'exec "$0" "$@" > "$STDOUT_FILE"'];
  const seesDevice = device === undefined ? [] : withDevice(device);
  const [command = '', ...args] = [
    ...into,
    ...seesDevice,
    ...AS[user],
    process.execPath,
    entry,
    'cluster',
    ...words,
  ];
  return Child.start(scope, command, args, {
    name: `tunl cluster ${words.join(' ')}`,
    ...options,
    env: {HOME: stateDir, TUNL_STATE_DIR: stateDir, STDOUT_FILE: stdoutFile ?? '', ...options.env},
  });
}

/** Runs it to its own end. */
export async function runCluster(
  scope: Scope,
  user: User,
  words: readonly string[],
  options: ChildOptions & {stdoutFile?: string} = {},
): Promise<{code: number | null; stdout: string; stderr: string; lines: readonly string[]}> {
  const child = await startCluster(scope, user, words, options);
  return {...(await child.finished()), lines: child.lines};
}

export const eventsOf = (lines: readonly string[]): ClusterEvent[] => lines.map((line) => JSON.parse(line));

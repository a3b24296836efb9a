// Below root each sandbox runs as a user of its own: with root's user outside, it would own the host's files as soon as one
// wall has a hole. The ids are free: no account, no range of other containers and no running process has them.

import {readdir, readFile, stat} from 'node:fs/promises';
import {createServer, type Server} from 'node:net';
import {TunlError} from '../../core/errors.js';
import {randomInt} from '../../core/node-crypto.js';

/** Undefined in systemd's table of ids; the second range is for containers that have few ids. */
const RANGES: readonly (readonly [first: number, count: number])[] = [
  [1_900_000_000, 65_536],
  [60_706, 478],
];
const TRIES = 64;

export interface OwnUid {
  /** Also the number of its group. */
  readonly uid: number;
  /** Others may have it again. */
  release(): void;
}

interface IdRange {
  readonly first: number;
  readonly count: number;
}

/** Whether nobody but sandboxes of tunl has this id, so that a sandbox may write to its folders. */
export const isSandboxUid = (uid: number): boolean =>
  RANGES.some(([first, count]) => uid >= first && uid < first + count);

/** @throws TunlError SANDBOX_BACKEND */
export async function takeUid(): Promise<OwnUid> {
  const [mapped, reserved, running] = await Promise.all([mappedIds(), reservedIds(), runningIds()]);
  const isIn =
    (uid: number) =>
    ({first, count}: IdRange) =>
      uid >= first && uid < first + count;
  for (const [first, count] of RANGES) {
    if (!mapped.some(isIn(first)) || !mapped.some(isIn(first + count - 1))) continue;
    for (let tries = 0; tries < TRIES; tries += 1) {
      const uid = first + randomInt(count);
      if (reserved.some(isIn(uid)) || running.has(uid)) continue;
      const lock = await lockUid(uid);
      if (lock !== undefined) return {uid, release: () => lock.close()};
    }
  }
  throw new TunlError('SANDBOX_BACKEND', {
    reason: 'This machine has no free user id for the sandbox.',
    next: 'Run tunl as an ordinary user.',
  });
}

/** The ids that exist here: a container may have a part only. */
async function mappedIds(): Promise<IdRange[]> {
  const text = await readFile('/proc/self/uid_map', 'utf8');
  return lines(text).map((line) => {
    const [first = '', , count = ''] = line.trim().split(/\s+/);
    return {first: Number(first), count: Number(count)};
  });
}

/** Accounts, groups, and ranges that are given to users for their containers. */
async function reservedIds(): Promise<IdRange[]> {
  const read = async (path: string) => lines(await readFile(path, 'utf8').catch(() => ''));
  const [accounts, groups, ...ranges] = await Promise.all(
    ['/etc/passwd', '/etc/group', '/etc/subuid', '/etc/subgid'].map(read),
  );
  const single = (line: string) => ({first: Number(line.split(':')[2]), count: 1});
  const range = (line: string) => {
    const [, first, count] = line.split(':');
    return {first: Number(first), count: Number(count)};
  };
  return [...[...(accounts ?? []), ...(groups ?? [])].map(single), ...ranges.flat().map(range)];
}

async function runningIds(): Promise<Set<number>> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const owners = await Promise.all(pids.map((pid) => stat(`/proc/${pid}`).catch(() => undefined)));
  return new Set(owners.flatMap((found) => (found === undefined ? [] : [found.uid])));
}

/** An abstract Unix socket is a lock that the end of this process removes, and that needs no file. */
function lockUid(uid: number): Promise<Server | undefined> {
  const server = createServer((socket) => socket.destroy());
  server.unref();
  return new Promise((resolve) => {
    server.once('error', () => resolve(undefined));
    server.listen({path: `\0tunl-sandbox-uid-${uid}`}, () => resolve(server));
  });
}

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

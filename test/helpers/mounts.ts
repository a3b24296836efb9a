// File systems for tests: an exFAT of its own, and words that start a program where some paths are read-only. Needs root.

import {join} from 'node:path';
import {succeed} from './net-ns.js';
import type {Scope} from './scope.js';

/** A folder on exFAT, which has no hard links, no sockets and no modes. Only root can use it. */
export async function exFat(scope: Scope): Promise<string> {
  const folder = await scope.tempDir('exfat');
  const [image, place] = [join(folder, 'image'), join(folder, 'place')];
  await succeed(['truncate', '--size', '16M', image]);
  await succeed(['mkfs.exfat', image]);
  await succeed(['mkdir', place]);
  const device = (await succeed(['losetup', '--find', '--show', image])).trim();
  scope.onEnd(async () => void (await succeed(['losetup', '--detach', device])));
  await succeed(['mount.exfat-fuse', '-o', 'umask=077', device, place]);
  scope.onEnd(async () => void (await succeed(['umount', place])));
  return place;
}

/** Words before a command: it runs where these places are mounted read-only. Nobody else sees that. */
export function withReadOnly(places: readonly string[]): string[] {
  // Processes are below a bind mount of the root, not on it.
  const steps = places.flatMap((place) => [
    ...(place === '/' ? [] : [`mount --bind '${place}' '${place}'`]),
    `mount -o remount,bind,ro '${place}'`,
  ]);
  const inside = [...steps, 'cd /', 'exec "$@"'].join(' && ');
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', inside, 'sh'];
}

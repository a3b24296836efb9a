// Unix sockets that only this user can connect to, also in folders whose paths are too long for one.

import {closeSync, openSync} from 'node:fs';
import type {Server} from 'node:net';
import {join} from 'node:path';

/** `sun_path` has 104 to 108 bytes, with the end. */
const MAX_PATH_BYTES = 100;

export interface Place {
  readonly path: string;
  /** Frees the descriptor of the folder. */
  release(): void;
}

/** A path for a socket: through the folder's descriptor when the whole path is too long. Undefined where that is not possible. */
export function placeOf(folder: string, name: string): Place | undefined {
  const path = join(folder, name);
  if (Buffer.byteLength(path) <= MAX_PATH_BYTES) return {path, release: () => {}};
  if (process.platform !== 'linux') return undefined;
  try {
    const fd = openSync(folder, 'r');
    return {path: `/proc/self/fd/${fd}/${name}`, release: () => closeSync(fd)};
  } catch {
    return undefined;
  }
}

/** The call itself makes the file with this mode, so other users can never connect. */
export async function listenPrivately(server: Server, path: string): Promise<void> {
  const listening = new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', resolve);
  });
  const before = process.umask(0o177);
  try {
    server.listen(path);
  } finally {
    process.umask(before);
  }
  await listening;
}

// The time of the last use of each token: that of a file beside the tokens. Processes need no lock, and a failure does not
// matter.

import {mkdir, readdir, rm, stat, utimes, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';

const folderOf = (tokenFile: string) => join(dirname(tokenFile), 'used');

/** Undefined: not used yet. */
export async function useTime(tokenFile: string, id: string): Promise<Date | undefined> {
  return await stat(join(folderOf(tokenFile), id)).then(
    ({mtime}) => mtime,
    () => undefined,
  );
}

/** @param now ms since 1970 */
export async function noteUse(tokenFile: string, id: string, now: number): Promise<void> {
  const path = join(folderOf(tokenFile), id);
  const time = now / 1_000;
  try {
    await utimes(path, time, time);
  } catch {
    await mkdir(dirname(path), {recursive: true, mode: 0o700});
    await writeFile(path, '', {flag: 'a', mode: 0o600});
    await utimes(path, time, time);
  }
}

/** Removes the times of all other tokens. Never rejects. */
export async function keepUseTimes(tokenFile: string, ids: ReadonlySet<string>): Promise<void> {
  const folder = folderOf(tokenFile);
  const names = await readdir(folder).catch(() => []);
  for (const name of names) if (!ids.has(name)) await rm(join(folder, name), {force: true}).catch(() => {});
}

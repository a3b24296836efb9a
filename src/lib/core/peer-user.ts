// The user at the other end of a connection on loopback, from the kernel's tables. Linux only.

import {readFile} from 'node:fs/promises';

const TABLES = ['/proc/self/net/tcp', '/proc/self/net/tcp6'];
const ESTABLISHED = '01';

/** Whether this machine has the tables. */
export async function knowsPeerUsers(): Promise<boolean> {
  return process.getuid !== undefined && (await readFile('/proc/self/net/tcp').catch(() => '')).length > 0;
}

/**
 * True when the connection from `from` to `to`, ports of this machine, was opened by this user or by root. False for a connection
 * that is gone: nobody knows whose it was.
 */
export async function isFromThisUser({from, to}: {from: number; to: number}): Promise<boolean> {
  const texts = await Promise.all(TABLES.map((table) => readFile(table, 'latin1').catch(() => '')));
  const users = texts.flatMap((text) => usersOf(text, hexPort(from), hexPort(to)));
  // Several rows have the same ports at 127.0.0.1 and ::1.
  return users.length > 0 && users.every((user) => user === 0 || user === process.getuid?.());
}

const hexPort = (port: number): string => `:${port.toString(16).toUpperCase().padStart(4, '0')}`;

/** `sl local_address rem_address st … uid timeout inode`, an address as HEX:PORT. Of a socket without an owner the inode is 0. */
function usersOf(table: string, from: string, to: string): number[] {
  return table.split('\n').flatMap((line) => {
    // Most rows are others, and splitting is slow.
    if (!line.includes(from) || !line.includes(to)) return [];
    const [, local = '', remote = '', state, , , , uid, , inode] = line.trim().split(/\s+/);
    const isIt = local.endsWith(from) && remote.endsWith(to) && state === ESTABLISHED && inode !== '0';
    return isIt ? [Number(uid)] : [];
  });
}

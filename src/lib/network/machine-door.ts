// The Unix socket of a member, for other members of the same user on the same machine. Only this user can enter its folder; keys
// are checked there as everywhere.

import {existsSync} from 'node:fs';
import {readdir, rm} from 'node:fs/promises';
import {connect, createServer, type Socket} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {systemCode} from '../core/errors.js';
import {randomBytes} from '../core/node-crypto.js';
import {listenPrivately} from '../core/private-socket.js';
import {openStateDir} from '../core/state-dir.js';
import {UNIX_DIGITS} from './roster.js';

export interface MachineDoor {
  /** The name that others find it by. */
  readonly name: string;
  close(): void;
}

const MOST_CONNECTIONS = 1_024;

/** All processes of this user have the same one, whatever their state folders are. Undefined on systems without user numbers. */
function folder(): string | undefined {
  const uid = process.getuid?.();
  return uid === undefined ? undefined : join(tmpdir(), `tunl-${uid}`);
}

/** The path of a member's socket, if it is a socket of this machine. The name is hex digits. */
export function machinePlace(name: string): string | undefined {
  const base = folder();
  const path = base === undefined ? undefined : join(base, 'net', `${name}.sock`);
  return path !== undefined && existsSync(path) ? path : undefined;
}

/** Undefined where that is not possible: others then come by other ways. */
export async function openMachineDoor(
  onConnection: (socket: Socket) => void,
): Promise<MachineDoor | undefined> {
  const base = folder();
  if (base === undefined) return undefined;
  const server = createServer({allowHalfOpen: false, pauseOnConnect: true}, onConnection);
  server.maxConnections = MOST_CONNECTIONS;
  const name = randomBytes(UNIX_DIGITS / 2).toString('hex');
  try {
    const place = await openStateDir(base, 'net');
    await removeLeftovers(place);
    await listenPrivately(server, join(place, `${name}.sock`));
  } catch {
    server.close();
    return undefined;
  }
  server.on('error', () => {});
  server.unref();
  // Node removes the file.
  return {name, close: () => void server.close()};
}

/** Sockets of processes that were killed. */
async function removeLeftovers(place: string): Promise<void> {
  const names = (await readdir(place)).filter((name) => /^[0-9a-f]+\.sock$/.test(name));
  await Promise.all(
    names.slice(0, 256).map(async (name) => {
      const path = join(place, name);
      if (await isDead(path)) await rm(path, {force: true}).catch(() => {});
    }),
  );
}

function isDead(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', (error) => resolve(systemCode(error) === 'ECONNREFUSED'));
  });
}

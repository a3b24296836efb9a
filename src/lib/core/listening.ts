// Reads the listening sockets of this machine from the kernel's tables, without any connection. Linux only.

import {open, readFile} from 'node:fs/promises';
import {isIPv4} from 'node:net';

/** A row in state LISTEN. */
export interface ListeningSocket {
  inode: string;
  /** In the table's notation: hexadecimal, each 32 bits in the machine's byte order. */
  address: string;
  port: number;
  /** The user who opened it. */
  uid: number;
}

const IS_LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;

/** `sl local_address rem_address st … uid timeout inode`, an address as HEX:PORT, in state LISTEN. */
const ROW = /^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ 0A \S+ \S+ \S+ +(\d+) +\d+ (\d+)/gm;

const PIECE_BYTES = 64 * 1024;

/** The rows of `/proc/…/net/tcp` or tcp6 in state LISTEN; empty without such a table. */
export async function listeningSockets(table: string): Promise<ListeningSocket[]> {
  const found: ListeningSocket[] = [];
  // A busy machine has ten thousands of other rows, so the table is never in memory as a whole.
  await eachPiece(table, (text) => {
    for (const [, address = '', port = '', uid, inode = ''] of text.matchAll(ROW))
      found.push({inode, address, port: Number.parseInt(port, 16), uid: Number(uid)});
  });
  return found;
}

/** Calls back with whole lines. */
async function eachPiece(path: string, onLines: (text: string) => void): Promise<void> {
  // It fails where the system is not Linux or hides the file, and when the process of `/proc/PID` ends.
  const file = await open(path).catch(() => undefined);
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  const read = () => file?.read(buffer, 0, PIECE_BYTES).catch(() => undefined);
  let rest = '';
  for (let piece = await read(); piece !== undefined && piece.bytesRead > 0; piece = await read()) {
    const text = rest + buffer.toString('latin1', 0, piece.bytesRead);
    const end = text.lastIndexOf('\n') + 1;
    onLines(text.slice(0, end));
    rest = text.slice(end);
  }
  onLines(rest);
  await file?.close();
}

/** True when something listens on one of these loopback addresses. False can also mean that the kernel has no such table. */
export async function isListening(addresses: readonly string[], port: number): Promise<boolean> {
  const wanted = new Set(addresses.flatMap(listenersFor));
  return (await ownTables()).some((socket) => socket.port === port && wanted.has(socket.address));
}

/** The user whose socket accepts connections to each of these loopback addresses and ports; undefined where there is none. */
export async function listenersAt(
  places: ReadonlyArray<{host: string; port: number}>,
): Promise<(ListeningSocket | undefined)[]> {
  const all = await ownTables();
  return places.map(({host, port}) => {
    const there = all.filter((socket) => socket.port === port);
    // The kernel prefers a socket on the exact address to one on all addresses.
    const named = listenersFor(host).toReversed();
    return named.flatMap((address) => there.filter((socket) => socket.address === address))[0];
  });
}

/** Flags and state of a Unix socket that accepts connections: __SO_ACCEPTCON. */
const UNIX_ACCEPTS = 0x1_0000;

/** True when something listens on the Unix socket at `path`. False can also mean that it was bound under another path. */
export async function isUnixListening(path: string): Promise<boolean> {
  const text = await readFile('/proc/self/net/unix', 'latin1').catch(() => '');
  const wanted = Buffer.from(path).toString('latin1');
  // `Num RefCount Protocol Flags Type St Inode Path`; a path may contain spaces.
  return text.split('\n').some((line) => {
    const [, flags = '', bound] = /^\S+ \S+ \S+ (\S+) \S+ \S+ +\S+ (.*)$/.exec(line) ?? [];
    return bound === wanted && (Number.parseInt(flags, 16) & UNIX_ACCEPTS) !== 0;
  });
}

async function ownTables(): Promise<ListeningSocket[]> {
  return (await Promise.all(['/proc/self/net/tcp', '/proc/self/net/tcp6'].map(listeningSockets))).flat();
}

/** `127.0.0.0/8` and `::1`: the addresses that `isListening` accepts. */
export function isLoopbackAddress(address: string): boolean {
  return address === '::1' || (isIPv4(address) && address.startsWith('127.'));
}

/** The addresses, in the table's notation, whose sockets accept a connection to this one: "all addresses" first, then itself. */
function listenersFor(address: string): string[] {
  if (address === '::1') return [groups('0', '0', '0', '0'), groups('0', '0', '0', '1')];
  const own = address
    .split('.')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join('');
  return [groups('0', '0', '0', '0'), groups('0'), groups('0', '0', 'ffff', own), groups(own)];
}

function groups(...each: string[]): string {
  return each
    .map((hex) => inOrder(hex.padStart(8, '0')))
    .join('')
    .toUpperCase();
}

function inOrder(hex: string): string {
  return IS_LITTLE_ENDIAN ? (hex.match(/../g) ?? []).reverse().join('') : hex;
}

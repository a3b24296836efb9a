// Ports on this machine: a free one, whether one is taken, and which ones a program's processes listen on.
import {randomInt} from 'node:crypto';
import {readdir, readlink} from 'node:fs/promises';
import {connect, createServer} from 'node:net';
import {systemCode, TunlError} from '../core/errors.js';
import {listeningSockets} from '../core/listening.js';
import {type Family, membersOf} from './processes.js';
import {run} from './run.js';

/**
 * Below every platform's range for outgoing connections (Linux from 32768, others from 49152): a port in that range may be
 * free now and in use when a program that takes seconds to start listens on it.
 */
const FIRST_PORT = 10_000;
const LAST_PORT = 32_000;
const TRIES = 100;

/** A port of 127.0.0.1 without a listener, outside the range for outgoing connections. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const port = randomInt(FIRST_PORT, LAST_PORT);
    if (await canListen('127.0.0.1', port)) return port;
  }
  throw new TunlError('PROGRAM_PORT_TAKEN', {
    reason: `No free port was found between ${FIRST_PORT} and ${LAST_PORT}.`,
  });
}

/** True when something listens on this port of one of the loopback addresses. */
export async function isTaken(port: number): Promise<boolean> {
  const answers = await Promise.all(
    ['127.0.0.1', '::1'].map(async (host) => (await accepts(host, port)) || !(await canListen(host, port))),
  );
  return answers.includes(true);
}

/** True when a TCP connection is accepted. */
export function accepts(host: string, port: number, timeoutMs = 1_000): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({host, port});
    socket.setTimeout(timeoutMs, () => socket.destroy());
    socket.once('connect', () => {
      resolve(true);
      socket.destroy();
    });
    socket.once('error', () => socket.destroy());
    socket.once('close', () => resolve(false));
  });
}

/** Returns false only for an address in use: missing IPv6 or a privileged port say nothing about a listener. */
function canListen(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve(systemCode(error) !== 'EADDRINUSE'));
    server.listen({host, port, exclusive: true}, () => server.close(() => resolve(true)));
  });
}

/** The TCP ports that a program's processes listen on, lowest first. */
export async function portsOf(family: Family): Promise<number[]> {
  const ports = process.platform === 'linux' ? await portsByProc(family) : await portsByLsof(family);
  return [...new Set(ports)].sort((a, b) => a - b);
}

async function portsByProc(family: Family): Promise<number[]> {
  const {group, strays} = await membersOf(family);
  const pids = [...group, ...strays];
  const [inodes, tables] = await Promise.all([
    Promise.all(pids.map(socketsOf)),
    // Through the program's own /proc entry: it may live in another network namespace.
    Promise.all(['tcp', 'tcp6'].map((table) => listeningSockets(`/proc/${pids[0] ?? 'self'}/net/${table}`))),
  ]);
  const own = new Set(inodes.flat());
  return tables.flat().flatMap(({inode, port}) => (own.has(inode) ? [port] : []));
}

async function socketsOf(pid: number): Promise<string[]> {
  const folder = `/proc/${pid}/fd`;
  const names = await readdir(folder).catch(() => []);
  const targets = await Promise.all(names.map((name) => readlink(`${folder}/${name}`).catch(() => '')));
  return targets.flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []);
}

/** `-F n` prints one field on each line; names look like `*:3000`, `127.0.0.1:3000`, `[::1]:3000`. */
async function portsByLsof(family: Family): Promise<number[]> {
  const args = ['-nP', '-a', '-g', String(family.group), '-iTCP', '-sTCP:LISTEN', '-F', 'n'];
  const {stdout} = await run('lsof', args);
  return portsInLsof(stdout);
}

/** @internal Separate, so that Linux can test the code for macOS. */
export function portsInLsof(text: string): number[] {
  return text.split('\n').flatMap((line) => {
    const port = /^n.*:(\d+)$/.exec(line)?.[1];
    return port === undefined ? [] : [Number(port)];
  });
}

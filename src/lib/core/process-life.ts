// Whether the process that owns something in the state folder still runs. Containers or machines may share the folder, and see
// each other's processes under other pids or not at all.
import {readFile, readlink} from 'node:fs/promises';
import {hostname, uptime} from 'node:os';
import {systemCode, TunlError} from './errors.js';
import {createHash} from './node-crypto.js';

/** The system in which a pid is valid. */
export interface System {
  /** One boot of one kernel; '' when unknown. */
  readonly boot: string;
  /** The pid namespace; '' when /proc shows the processes of another one. */
  readonly namespace: string;
  /** The machine or container across reboots, as a hash. */
  readonly host: string;
}

export interface ProcessRecord {
  readonly pid: number;
  /** In the system's format: distinguishes the process from a later one with its pid. */
  readonly start: string;
  /** Undefined without namespaces: only one system uses the folder. */
  readonly system?: System | undefined;
}

/** `unknown`: the processes of its system are not visible from here, or this system does not tell now. */
export type Life = 'running' | 'ended' | 'unknown';

export interface Sight {
  readonly system: System | undefined;
  readonly now: number;
  readonly bootedAt: number;
  /** The time of the process's last sign of life: it touches the file with the record. */
  readonly touchedAt: number;
  /** The start of the process with the record's pid here; '' for none. Undefined: the system does not tell. */
  readonly start: string | undefined;
}

/** '' when there is no process; a zombie does not count. Rejects when the system does not tell. */
export type StartOf = (pid: number) => Promise<string>;

/** A record without a sign of life for this long is given up; machines do not sleep longer. */
const FORGOTTEN_MS = 30 * 86_400_000;

export function judgeLife(record: ProcessRecord, sight: Sight): Life {
  const there = record.system;
  const here = sight.system;
  const forgotten = sight.now - sight.touchedAt > FORGOTTEN_MS ? 'ended' : 'unknown';
  if (there !== undefined && here !== undefined) {
    const sameHost = there.host === here.host;
    if (there.boot !== here.boot || (here.boot === '' && !sameHost)) {
      // Two machines may have the same identity: a sign of life after this machine's start comes from the other one.
      return sameHost && sight.touchedAt < sight.bootedAt ? 'ended' : forgotten;
    }
    if (there.namespace !== here.namespace || here.namespace === '') return forgotten;
  }
  if (sight.start === undefined) return 'unknown';
  return sight.start !== '' && sight.start === record.start ? 'running' : 'ended';
}

/** @param touchedAt ms; the time of the file with the record */
export async function judgeRecord(record: ProcessRecord, touchedAt: number, startOf: StartOf): Promise<Life> {
  const [system, start] = await Promise.all([thisSystem(), startOf(record.pid).catch(() => undefined)]);
  const now = Date.now();
  return judgeLife(record, {system, now, bootedAt: now - uptime() * 1_000, touchedAt, start});
}

/** @throws TunlError STATE_DIR: a record without a start would be that of a process that has ended */
export async function recordThis(startOf: StartOf): Promise<ProcessRecord> {
  const [system, start] = await Promise.all([thisSystem(), startOf(process.pid).catch(noStart)]);
  return {pid: process.pid, start, ...(system !== undefined && {system})};
}

function noStart(error: unknown): never {
  throw new TunlError('STATE_DIR', {
    reason: `The system does not tell when this process has started (${systemCode(error) || 'unknown reason'}).`,
    cause: error,
  });
}

export function isProcessRecord(value: unknown): value is ProcessRecord {
  if (typeof value !== 'object' || value === null) return false;
  const {pid, start, system} = value as Record<string, unknown>;
  return (
    Number.isInteger(pid) &&
    Number(pid) > 0 &&
    typeof start === 'string' &&
    (system === undefined || isSystem(system))
  );
}

function isSystem(value: unknown): value is System {
  if (typeof value !== 'object' || value === null) return false;
  const {boot, namespace, host} = value as Record<string, unknown>;
  return [boot, namespace, host].every((field) => typeof field === 'string');
}

async function thisSystem(): Promise<System | undefined> {
  if (process.platform !== 'linux') return undefined;
  const [boot, self, namespace, machine] = await Promise.all([
    readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => ''),
    readlink('/proc/self').catch(() => ''),
    readlink('/proc/self/ns/pid').catch(() => ''),
    readFile('/etc/machine-id', 'utf8').catch(() => ''),
  ]);
  const host = createHash('sha256').update(`tunl\n${machine.trim()}\n${hostname()}`);
  return {
    boot: boot.trim(),
    // A /proc that was mounted for another namespace shows other processes under these pids.
    namespace: self === String(process.pid) ? namespace : '',
    host: host.digest('hex').slice(0, 32),
  };
}

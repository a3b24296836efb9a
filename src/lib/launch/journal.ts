// The file of a process in the background: one small file for each id, written by that process at its start and its end.

import {closeSync, fsyncSync, openSync, renameSync, writeFileSync} from 'node:fs';
import {readFile} from 'node:fs/promises';
import {isProcessRecord, type ProcessRecord, type System} from '../core/process-life.js';
import {checkStateFile} from '../core/state-trust.js';

/** `left`: at once, without the drain. `unknown`: killed (SIGKILL), or its machine was restarted. */
export type EndCause = 'stopped' | 'expired' | 'idle' | 'exited' | 'failed' | 'left' | 'unknown';

export interface End {
  readonly why: EndCause;
  /** ISO 8601; absent when the cause is unknown. */
  readonly at?: string;
  /** The code of an error. */
  readonly code?: string;
  /** In words: the message of an error, or the reason of a stop. */
  readonly message?: string;
  readonly exitCode?: number;
}

/** One of the tunnels of a command. */
export interface ListedAddress {
  readonly tunnel: string;
  readonly address: string;
  readonly upstream: string;
}

export interface BackgroundTunnel {
  readonly id: string;
  readonly pid: number;
  /** Distinguishes the process from a later one with the same pid. */
  readonly processStart: string;
  /** The system in which the pid is valid: containers may share the state folder. */
  readonly system?: System | undefined;
  /** ISO 8601. */
  readonly startedAt: string;
  /** The command line, without secrets. */
  readonly command: readonly string[];
  readonly address: string;
  /** The tunnels that run now, or ran last; absent for a relay. */
  readonly tunnels?: readonly ListedAddress[];
  /** It runs in a terminal, and has an entry so that other commands can reach it. */
  readonly foreground?: true;
  readonly expiresAt?: string;
  /** How long its visitors may take to finish when it is stopped. */
  readonly drainTimeoutMs?: number;
  /** Absent while it runs, and when the cause of its end is unknown. */
  readonly end?: End;
}

const CAUSES: readonly unknown[] = [
  'stopped',
  'expired',
  'idle',
  'exited',
  'failed',
  'left',
  'unknown',
] satisfies EndCause[];

/** @throws TunlError STATE_DIR when another user may have written it. */
export async function readEntry(path: string, id: string): Promise<BackgroundTunnel | undefined> {
  await checkStateFile(path);
  try {
    const value: unknown = JSON.parse(await readFile(path, 'utf8'));
    return isEntry(value) && value.id === id ? value : undefined;
  } catch {
    return undefined;
  }
}

/** For the last action of a process, when nothing asynchronous runs any more. Never throws. */
export function writeEntrySync(path: string, entry: BackgroundTunnel): void {
  const draft = `${path}.draft`;
  try {
    const fd = openSync(draft, 'w', 0o600);
    try {
      writeFileSync(fd, `${JSON.stringify(entry)}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(draft, path);
  } catch {
    // A full disk, or a removed folder: the end is then shown as unknown.
  }
}

export function recordOf({pid, processStart, system}: BackgroundTunnel): ProcessRecord {
  return {pid, start: processStart, system};
}

function isEntry(value: unknown): value is BackgroundTunnel {
  if (typeof value !== 'object' || value === null) return false;
  const {
    id,
    pid,
    processStart,
    system,
    startedAt,
    address,
    command,
    drainTimeoutMs,
    end,
    tunnels,
    foreground,
  } = value as Record<string, unknown>;
  return (
    [id, startedAt, address].every((field) => typeof field === 'string') &&
    isProcessRecord({pid, start: processStart, system}) &&
    // In a container tunl may be process 1; one in the background never is.
    (pid !== 1 || foreground === true) &&
    Array.isArray(command) &&
    (drainTimeoutMs === undefined || Number.isFinite(drainTimeoutMs)) &&
    (tunnels === undefined || (Array.isArray(tunnels) && tunnels.every(isListedAddress))) &&
    (end === undefined || isEnd(end))
  );
}

function isListedAddress(value: unknown): value is ListedAddress {
  if (typeof value !== 'object' || value === null) return false;
  const {tunnel, address, upstream} = value as Record<string, unknown>;
  return [tunnel, address, upstream].every((field) => typeof field === 'string');
}

function isEnd(value: unknown): value is End {
  if (typeof value !== 'object' || value === null) return false;
  const {why, at, code, message, exitCode} = value as Record<string, unknown>;
  return (
    CAUSES.includes(why) &&
    [at, code, message].every((field) => field === undefined || typeof field === 'string') &&
    (exitCode === undefined || Number.isInteger(exitCode))
  );
}

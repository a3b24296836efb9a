// The file of a sandbox in the state folder: what it is, which process owns it, and how it ended. It has no secrets: no
// environment, and addresses without their tokens.

import {renameSync, writeFileSync} from 'node:fs';
import {isProcessRecord, type ProcessRecord} from '../core/process-life.js';
import {readStateFile} from '../core/state-dir.js';
import type {BackendName} from './backend.js';
import type {EndReason, SandboxEnd, SandboxInfo, SandboxState, SandboxTunnel} from './control.js';
import {isSandboxId} from './ids.js';

export const JOURNAL = 'sandbox.json';

export interface Journal {
  readonly id: string;
  readonly name?: string | undefined;
  /** The process that holds the sandbox. */
  readonly owner: ProcessRecord;
  readonly state: SandboxState;
  /** Absent until one is chosen. */
  readonly backend?: BackendName | undefined;
  /** For `SandboxBackend.adopt`. */
  readonly record?: Readonly<Record<string, unknown>> | undefined;
  readonly command: readonly string[];
  /** Dates are ms since 1970. */
  readonly createdAt: number;
  readonly stopsAt?: number | undefined;
  readonly tunnels: readonly SandboxTunnel[];
  /** Names of limits that do not hold. */
  readonly unreal: readonly string[];
  readonly end?: SandboxEnd | undefined;
  readonly endedAt?: number | undefined;
  /** What its backend made may still be there: its owner was killed, or could not remove it. */
  readonly unclean?: boolean | undefined;
}

const STATES: readonly unknown[] = [
  'creating',
  'running',
  'ready',
  'stopping',
  'ended',
] satisfies SandboxState[];
const REASONS: readonly unknown[] = [
  'exited',
  'timeout',
  'idle',
  'oom',
  'terminated',
  'failed',
  'lost',
] satisfies EndReason[];
const BACKENDS: readonly unknown[] = ['bubblewrap', 'podman', 'docker'] satisfies BackendName[];

/** The journal after a change of the sandbox. */
export function journalOf(before: Journal, info: SandboxInfo): Journal {
  const {name, state, backend, command, createdAt, stopsAt, unreal, end} = info;
  const tunnels = info.tunnels.map((tunnel) => ({...tunnel, url: tunnel.url && withoutToken(tunnel.url)}));
  return {...before, name, state, backend, command, createdAt, stopsAt, tunnels, unreal, end};
}

/** An address without its query, which may be the token of a private tunnel. */
export function withoutToken(url: string): string {
  const at = url.indexOf('?');
  return at < 0 ? url : url.slice(0, at).replace(/\/$/, '');
}

/** Readers see the old file or the new one. Never throws: a full disk must not end a sandbox. */
export function writeJournal(path: string, journal: Journal): void {
  try {
    writeFileSync(`${path}.draft`, `${JSON.stringify(journal)}\n`, {mode: 0o600});
    renameSync(`${path}.draft`, path);
  } catch {
    // The folder is gone, or the disk is full: readers ask the owner, and find the last state after its end.
  }
}

/** Undefined: there is none, or it cannot be read. @throws TunlError STATE_DIR when another user may have written it */
export async function readJournal(path: string, id: string): Promise<Journal | undefined> {
  const text = await readStateFile(path);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isJournal(value) && value.id === id ? value : undefined;
  } catch {
    return undefined;
  }
}

function isJournal(value: unknown): value is Journal {
  if (typeof value !== 'object' || value === null) return false;
  const {
    id,
    name,
    owner,
    state,
    backend,
    record,
    command,
    createdAt,
    stopsAt,
    tunnels,
    unreal,
    end,
    endedAt,
  } = value as Record<string, unknown>;
  return (
    typeof id === 'string' &&
    isSandboxId(id) &&
    isOptional(name, 'string') &&
    isProcessRecord(owner) &&
    STATES.includes(state) &&
    (backend === undefined || BACKENDS.includes(backend)) &&
    isOptional(record, 'object') &&
    isListOf(command, 'string') &&
    Number.isFinite(createdAt) &&
    [stopsAt, endedAt].every((date) => date === undefined || Number.isFinite(date)) &&
    isListOf(tunnels, 'object') &&
    isListOf(unreal, 'string') &&
    (end === undefined || isEnd(end))
  );
}

export function isEnd(value: unknown): value is SandboxEnd {
  if (typeof value !== 'object' || value === null) return false;
  const {reason, code, signal, error, detail} = value as Record<string, unknown>;
  return (
    REASONS.includes(reason) &&
    (code === undefined || Number.isInteger(code)) &&
    isOptional(signal, 'string') &&
    isOptional(error, 'string') &&
    isOptional(detail, 'string')
  );
}

function isOptional(value: unknown, type: 'string' | 'object'): boolean {
  return value === undefined || (typeof value === type && value !== null);
}

function isListOf(value: unknown, type: 'string' | 'object'): boolean {
  return Array.isArray(value) && value.every((each) => typeof each === type && each !== null);
}

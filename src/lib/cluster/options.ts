// The options of a cluster, checked and with their defaults.

import type {ForwardOptions} from '../agent/options.js';
import {TunlError} from '../core/errors.js';
import type {LogSink} from '../core/logger.js';
import {MAX_MEMBERS} from '../seal/fabric/addresses.js';
import type {ClusterEvent} from './events.js';

/** A port of a member that gets a public address. */
export interface ExposedPort {
  readonly rank: number;
  readonly port: number;
}

export interface ProgramOptions {
  /** Start all members again after a failure, so often. Default 0. */
  restarts?: number;
  /** Members reach one another, and nothing else. Default false: they reach public addresses, too. */
  isolated?: boolean;
  /** Variables besides those of this process. */
  env?: Readonly<Record<string, string>>;
  /** The folder that programs start in. Default: that of this process. */
  cwd?: string;
  /** MASTER_PORT. Default 29500. */
  masterPort?: number;
  /** How long programs have between SIGTERM and SIGKILL, ms. Default 10,000. */
  graceMs?: number;
  /** The output of a member, cut anywhere. A promise holds this output of this member back until it resolves. */
  onOutput?: (rank: number, from: 'stdout' | 'stderr', bytes: Uint8Array) => void | Promise<void>;
  /** All events in order. Must not throw. */
  onEvent?: (event: ClusterEvent) => void;
  /** Ends the cluster, as `close` does. */
  signal?: AbortSignal;
  log?: LogSink;
}

export interface ClusterOptions extends ProgramOptions {
  /** Members, 1 to 32. */
  size: number;
  /** Ports of members that get a public address, by `forward`. */
  expose?: readonly ExposedPort[];
  /** Options of `forward` for these ports. */
  forward?: Omit<ForwardOptions, 'signal' | 'onEvent' | 'subdomain' | 'remotePort' | 'lan'>;
}

/** How a cluster has ended. */
export interface ClusterEnd {
  /** 0 when all programs have; 130 when the end was asked for; otherwise that of the program that failed first, as a shell reports it. */
  readonly exitCode: number;
  /** The rank of that program. Undefined: none failed, or the end was asked for. */
  readonly failed?: number;
  /** It was asked for. */
  readonly closed?: true;
}

export interface CheckedProgram {
  readonly restarts: number;
  readonly isolated: boolean;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly masterPort: number;
  readonly graceMs: number;
}

const MAX_RESTARTS = 1_000;
/** The port of torchrun and of most programs like it. Nothing else listens in a member's network. */
const MASTER_PORT = 29_500;
const GRACE_MS = 10_000;
const MAX_GRACE_MS = 3_600_000;

/** @throws TunlError CLUSTER_INVALID */
export function checkProgram(options: ProgramOptions): CheckedProgram {
  const {restarts = 0, masterPort = MASTER_PORT, graceMs = GRACE_MS} = options;
  whole(restarts, 0, MAX_RESTARTS, 'The number of restarts');
  whole(masterPort, 1, 65_535, 'The master port');
  whole(graceMs, 0, MAX_GRACE_MS, 'The time to end');
  const {isolated = false, env = {}, cwd = process.cwd()} = options;
  return {restarts, isolated, env, cwd, masterPort, graceMs};
}

/** @throws TunlError CLUSTER_INVALID */
export function checkSize(size: unknown): number {
  return whole(size, 1, MAX_MEMBERS, 'The size of a cluster');
}

/** @throws TunlError CLUSTER_INVALID */
export function checkRank(rank: unknown, size: number): number {
  return whole(rank, 0, size - 1, `The rank of a member of ${size}`);
}

/** @throws TunlError CLUSTER_INVALID */
export function checkTime(ms: unknown, max: number): number {
  return whole(ms, 1, max, 'A time');
}

/** @throws TunlError CLUSTER_INVALID */
export function checkExposed(ports: readonly ExposedPort[], size: number): void {
  for (const {rank, port} of ports) {
    checkRank(rank, size);
    whole(port, 1, 65_535, 'A port of a member');
  }
  const keys = ports.map(({rank, port}) => `${rank}:${port}`);
  const twice = keys.find((key, index) => keys.indexOf(key) < index);
  if (twice !== undefined) throw invalid(`${twice} is exposed twice.`, 'Name each port once.');
}

/** `0:8265`. @throws TunlError CLUSTER_INVALID */
export function readExposed(text: string): ExposedPort {
  const [, rank, port] = /^(\d{1,4}):(\d{1,5})$/.exec(text.trim()) ?? [];
  if (rank === undefined || port === undefined)
    throw invalid(
      `${JSON.stringify(text.slice(0, 40))} is no port of a member.`,
      'Write it like 0:8265, a rank and a port.',
    );
  return {rank: Number(rank), port: Number(port)};
}

/** @throws TunlError CLUSTER_INVALID */
export function checkWords(argv: unknown): readonly [string, ...string[]] {
  const isList =
    Array.isArray(argv) && argv.every((word) => typeof word === 'string' && !word.includes('\0'));
  if (!isList || argv.length === 0 || argv[0] === '')
    throw invalid('The command is a list of words: a program and its arguments.', 'Give one.');
  return argv as unknown as readonly [string, ...string[]];
}

function whole(value: unknown, min: number, max: number, what: string): number {
  if (Number.isInteger(value) && Number(value) >= min && Number(value) <= max) return Number(value);
  const range = min === max ? `can only be ${min}` : `is a whole number from ${min} to ${max}`;
  const written = typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : String(value);
  const next = min === max ? `Give ${min}.` : `Give a whole number from ${min} to ${max}.`;
  throw invalid(`${what} ${range}, not ${written}.`, next);
}

const invalid = (reason: string, next: string) => new TunlError('CLUSTER_INVALID', {reason, next});

// The options of a sandbox, checked and with their defaults. They are plain values, so that another process can own the
// sandbox, except for those that watch it.

import {isAbsolute} from 'node:path';
import type {ForwardOptions} from '../agent/options.js';
import {FORWARD_SETTINGS} from '../agent/settings-table.js';
import {TunlError} from '../core/errors.js';
import {settle} from '../core/settings.js';
import {tunnelName} from '../protocol/setting-kinds.js';
import type {SandboxEvent} from './events.js';
import type {PortKind, PortRequest} from './ports.js';
import {checkProbe, Probe} from './probe.js';
import {SANDBOX_SETTINGS} from './settings.js';
import type {EgressRules, SandboxLimits, SandboxMount} from './spec.js';

/** Options of `forward` that say how the ports are reached, the same for all. */
type TunnelOptions = Omit<
  ForwardOptions,
  'host' | 'upstreamTls' | 'unencrypted' | 'h2' | 'subdomain' | 'remotePort' | 'signal' | 'onEvent' | 'lan'
>;

export interface SandboxOptions extends TunnelOptions {
  /** Ports inside with an https address. */
  encryptedPorts?: readonly number[];
  /** The same, and ALPN offers `h2`, for gRPC. */
  h2Ports?: readonly number[];
  /** Ports inside with a TCP port of the relay, besides an https address. */
  unencryptedPorts?: readonly number[];
  /** By port: this name instead of a random one, the first label of its address. */
  names?: Readonly<Record<number, string>>;
  /** A name to find it by. A sandbox with the same name gets the same addresses again. */
  name?: string;
  /**
   * The isolation program. `auto`: podman or docker if `image` or `runtime` is given, else bubblewrap. There is never none.
   * Default `auto`.
   */
  backend?: 'auto' | 'bubblewrap' | 'podman' | 'docker';
  /** The name of a local image of podman or docker. Default: the programs of this machine, read-only. */
  image?: string;
  /** The OCI runtime of podman or docker, such as `runsc`. */
  runtime?: string;
  /** Memory of all processes together: bytes, or a text like `512m`. Default: no limit. */
  memory?: number | string;
  /** Processors: 0.5 is half of one. Default: no limit. */
  cpu?: number;
  /** Processes and threads. Default: no limit. */
  pids?: number;
  /** Bytes that it may write outside of `mounts`, or a text like `1g`. Default: no limit. */
  disk?: number | string;
  /** Open files of each process. Default: that of this process. */
  openFiles?: number;
  /** Start even if a limit that was asked for does not hold on this machine. Default false: SANDBOX_LIMIT. */
  bestEffort?: boolean;
  /** Its whole life, ms. 0: no limit. Default 300,000. */
  timeoutMs?: number;
  /**
   * End it after this long without use, ms. Use is a running `exec`, bytes on stdin, traffic of visitors (256 bytes from them
   * within a minute) and `extend`. Looking at it is no use. Default: no limit.
   */
  idleTimeoutMs?: number;
  /** Where its programs may connect to: `none`, `internet` (no private addresses), or `HOST:PORT`s. Default `none`. */
  egress?: 'none' | 'internet' | readonly string[] | EgressRules;
  /** Its environment. That of this process is not passed on. */
  env?: Readonly<Record<string, string>>;
  /** An absolute path inside. */
  workdir?: string;
  /** Folders and files of this machine that are visible inside, read-only unless `readOnly` is false. */
  mounts?: readonly {readonly source: string; readonly target: string; readonly readOnly?: boolean}[];
  /** Runs inside before it is stopped; it may take 10 s. Not when the command ends by itself. */
  preStop?: readonly string[];
  /** When its state is `ready`. Default: when its first port accepts a connection; without ports at once. */
  readiness?: Probe;
  /**
   * Replace `{url}` and `{host}` in the command's arguments and in the values of `env` by the address of the first port and
   * its host. The command then starts when the address is known. Default false.
   */
  placeholders?: boolean;
  /** As root: the user id of this machine that it runs as. Default: one of its own. */
  hostUid?: number;
  /** It outlives this process. Default false: it ends with this process. */
  detach?: boolean;
  /** Ends the sandbox, as `terminate` does. */
  signal?: AbortSignal;
  /** All events in order. Must not throw. */
  onEvent?: (event: SandboxEvent) => void;
}

/** Checked, with all defaults. */
export interface SandboxRequest {
  readonly command: readonly string[];
  readonly settings: ReturnType<typeof settled>;
  readonly limits: SandboxLimits;
  readonly ports: readonly PortRequest[];
  readonly forward: ForwardOptions;
  readonly env: Readonly<Record<string, string>>;
  readonly mounts: readonly SandboxMount[];
  readonly preStop: readonly string[] | undefined;
  readonly readiness: Probe | undefined;
  readonly placeholders: boolean;
  readonly hostUid: number | undefined;
  readonly stateDir: string;
}

/** How long visitors wait for a service that does not listen yet, ms. */
const WAIT_UPSTREAM_MS = 2_000;
const MAX_WORDS_BYTES = 128 * 1024;

/** @throws TunlError OPTION_INVALID and others for an invalid value */
export function readOptions(command: readonly string[], options: SandboxOptions): SandboxRequest {
  const settings = settled(options);
  const forward = forwardOptions(options);
  const ports = readPorts(settings, options.names ?? {});
  return {
    command: checkCommand(command, 'The command'),
    settings,
    limits: {
      memoryBytes: settings.memory,
      cpus: settings.cpu,
      pids: settings.pids,
      diskBytes: settings.disk,
      openFiles: settings.openFiles,
    },
    ports,
    forward,
    env: checkEnv(options.env ?? {}),
    mounts: (options.mounts ?? []).map(checkMount),
    preStop: options.preStop && checkCommand(options.preStop, 'preStop'),
    readiness: options.readiness === undefined ? firstPort(ports) : checkProbe(options.readiness),
    placeholders: options.placeholders === true,
    hostUid: options.hostUid === undefined ? undefined : checkUid(options.hostUid),
    // Checked here, so that a mistake is told before anything is started.
    stateDir: settle(FORWARD_SETTINGS, forward).stateDir,
  };
}

function settled(options: SandboxOptions) {
  // Sizes and rules may be texts: their kinds read both.
  return settle(SANDBOX_SETTINGS, options as Parameters<typeof settle<typeof SANDBOX_SETTINGS>>[1]);
}

function forwardOptions(options: SandboxOptions): ForwardOptions {
  const own: Record<string, unknown> = {...options};
  for (const name of [...Object.keys(SANDBOX_SETTINGS), ...NOT_FOR_TUNNELS]) delete own[name];
  return {waitUpstreamMs: WAIT_UPSTREAM_MS, ...own};
}

const NOT_FOR_TUNNELS = [
  ...[
    'names',
    'env',
    'mounts',
    'preStop',
    'readiness',
    'placeholders',
    'hostUid',
    'detach',
    'signal',
    'onEvent',
  ],
  // Decided for each port, or for a service of this machine.
  ...['host', 'upstreamTls', 'unencrypted', 'h2', 'subdomain', 'remotePort', 'lan'],
];

function readPorts(
  {encryptedPorts, h2Ports, unencryptedPorts}: ReturnType<typeof settled>,
  names: Readonly<Record<number, string>>,
): PortRequest[] {
  const ofKind = (kind: PortKind, ports: readonly number[]) =>
    ports.map((port) => {
      const name = names[port];
      return {port, kind, ...(name !== undefined && {subdomain: tunnelName.check(name, 'names')})};
    });
  const all = [
    ...ofKind('encrypted', encryptedPorts),
    ...ofKind('h2', h2Ports),
    ...ofKind('unencrypted', unencryptedPorts),
  ];
  const twice = all.find(({port}, index) => all.findIndex((other) => other.port === port) < index);
  if (twice !== undefined) {
    throw invalid(
      `The port ${twice.port} is given twice.`,
      'An unencrypted port has an https address as well.',
    );
  }
  const unknown = Object.keys(names).find((port) => !all.some((each) => String(each.port) === port));
  if (unknown !== undefined) throw invalid(`There is a name for ${unknown}, which is none of the ports.`);
  return all;
}

function firstPort(ports: readonly PortRequest[]): Probe | undefined {
  const [first] = ports;
  return first && Probe.tcp(first.port);
}

export function checkCommand(words: unknown, what: string): readonly string[] {
  if (!Array.isArray(words) || words.length === 0 || words[0] === '')
    throw invalid(`${what} is a list: a program and its arguments.`, "Write it like ['python3', 'app.py'].");
  if (!words.every((word) => typeof word === 'string' && !word.includes('\0')))
    throw invalid(`${what} consists of texts without null bytes.`);
  if (words.reduce((sum, word) => sum + Buffer.byteLength(word) + 1, 0) > MAX_WORDS_BYTES)
    throw invalid(
      `${what} is longer than ${MAX_WORDS_BYTES / 1024} KiB.`,
      'Give long input by stdin or a file.',
    );
  return [...words];
}

export function checkEnv(env: unknown): Readonly<Record<string, string>> {
  if (typeof env !== 'object' || env === null) throw invalid('env is an object: names and values.');
  const entries = Object.entries(env);
  for (const [name, value] of entries) {
    if (!/^[^=\0]+$/.test(name)) throw invalid(`${JSON.stringify(name)} is no name of a variable.`);
    // The value may be a secret.
    if (typeof value !== 'string' || value.includes('\0'))
      throw invalid(`The value of ${name} is no text, or has a null byte.`);
  }
  if (
    entries.reduce((sum, [name, value]) => sum + name.length + Buffer.byteLength(value), 0) > MAX_WORDS_BYTES
  )
    throw invalid(`env is longer than ${MAX_WORDS_BYTES / 1024} KiB.`);
  return Object.fromEntries(entries);
}

function checkMount(mount: unknown): SandboxMount {
  const {source, target, readOnly = true} = (mount ?? {}) as Record<string, unknown>;
  for (const path of [source, target]) {
    if (typeof path !== 'string' || !isAbsolute(path) || path.includes('\0'))
      throw invalid('A mount has two absolute paths: source and target.');
  }
  return {source: source as string, target: target as string, readOnly: readOnly !== false};
}

function checkUid(uid: unknown): number {
  if (Number.isInteger(uid) && Number(uid) > 0 && Number(uid) < 2 ** 32 - 1) return Number(uid);
  throw invalid(`hostUid is the number of a user other than root, not ${uid}.`);
}

function invalid(reason: string, next?: string): TunlError {
  return new TunlError('OPTION_INVALID', next === undefined ? {reason} : {reason, next});
}

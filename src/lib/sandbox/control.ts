// The operations of everybody who uses a sandbox. `SandboxHost` does it in the process that owns the sandbox; `RemoteSandbox`
// asks that process over its control socket.

import type {Duplex} from 'node:stream';
import type {BackendName, ExecRequest, SandboxFiles, SandboxProcess, SandboxStats} from './backend.js';
import type {EgressRules} from './spec.js';

export type SandboxState = 'creating' | 'running' | 'ready' | 'stopping' | 'ended';

/** The one reason of an end. */
export type EndReason = 'exited' | 'timeout' | 'idle' | 'oom' | 'terminated' | 'failed' | 'lost';

export interface SandboxEnd {
  readonly reason: EndReason;
  /** The exit code of the command, if it exited. */
  readonly code?: number | undefined;
  readonly signal?: NodeJS.Signals | undefined;
  /** The code of the error with which it could not be started. */
  readonly error?: string | undefined;
  /** A sentence for people. */
  readonly detail?: string | undefined;
}

/** The public side of one port. */
export interface SandboxTunnel {
  readonly port: number;
  readonly url?: string | undefined;
  readonly tlsSocket?: readonly [string, number] | undefined;
  readonly tcpSocket?: readonly [string, number] | undefined;
}

/** Dates are ms since 1970. */
export interface SandboxInfo {
  readonly id: string;
  readonly name?: string | undefined;
  readonly state: SandboxState;
  /** Undefined until one is chosen. */
  readonly backend: BackendName | undefined;
  readonly command: readonly string[];
  readonly createdAt: number;
  /** Undefined: it has no end. */
  readonly stopsAt?: number | undefined;
  readonly idleTimeoutMs?: number | undefined;
  /** The last activity. */
  readonly activity?:
    | {readonly source: 'exec' | 'stdin' | 'traffic' | 'extend' | 'start'; readonly at: number}
    | undefined;
  readonly tunnels: readonly SandboxTunnel[];
  readonly egress: EgressRules;
  /** Names of limits that were asked for and do not hold here. */
  readonly unreal: readonly string[];
  readonly end?: SandboxEnd | undefined;
  readonly pid: number;
}

export interface LogPiece {
  readonly from: 'stdout' | 'stderr';
  readonly bytes: Buffer;
  /** Bytes before this piece that are no longer kept. */
  readonly lostBytes?: number | undefined;
}

export interface SandboxControl {
  readonly id: string;
  info(): Promise<SandboxInfo>;
  stats(): Promise<SandboxStats>;
  /** Resolves when it has ended; never rejects: a lost owner is `lost`. */
  readonly ended: Promise<SandboxEnd>;
  exec(request: ExecRequest): Promise<SandboxProcess>;
  /** A process that `exec` has started and that still runs. @throws TunlError SANDBOX_COMMAND, SANDBOX_ENDED */
  attach(id: string): Promise<SandboxProcess>;
  dial(port: number, signal?: AbortSignal): Promise<Duplex>;
  readonly files: SandboxFiles;
  /** Waits until each port has its address, at most 50 s. @throws TunlError SANDBOX_TUNNELS, SANDBOX_ENDED */
  tunnels(): Promise<readonly SandboxTunnel[]>;
  /** Resolves when its readiness probe has succeeded. @throws TunlError SANDBOX_ENDED */
  ready(): Promise<void>;
  /** Adds to the remaining life; 0 or less is an error. Resolves to the new end. */
  extend(ms: number): Promise<number | undefined>;
  setEgress(rules: EgressRules): Promise<void>;
  /** preStop, TERM, ten seconds, KILL. Resolves to the end. */
  terminate(): Promise<SandboxEnd>;
  /** The kept output, and with `follow` the later one until the sandbox ends. */
  logs(options?: {follow?: boolean; signal?: AbortSignal}): AsyncIterable<LogPiece>;
}

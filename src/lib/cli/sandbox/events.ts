// The events of `tunl sandbox …` with `--json`. docs/json-events.md documents them.

import type {EndReason, SandboxState} from '../../sandbox/control.js';
import type {RefusalReason} from '../../seal/policy.js';

interface HostPort {
  host: string;
  port: number;
}

/** `tunl sandbox run`: the command runs. */
export interface StartedEvent {
  type: 'started';
  /** The argument of the other commands. */
  id: string;
  name?: string;
  backend: string;
  /** The ports that get an address, each by an event `port`. */
  ports: readonly number[];
  /** Limits that were asked for and hold here. */
  limits: readonly string[];
  /** Those that do not, with --best-effort. */
  unreal: readonly string[];
  /** `none`, `internet`, or the destinations. */
  egress: readonly string[];
  /** ISO 8601. Absent: it has no end. */
  stopsAt?: string;
  /** Present with --detach. */
  detached?: true;
}

/** `tunl sandbox ps`: a sandbox that runs, or with --all one that has ended. */
export interface SandboxEvent {
  type: 'sandbox';
  /** The argument of the other commands. */
  id: string;
  name?: string;
  state: SandboxState;
  /** Absent until one is chosen. */
  backend?: string;
  /** The words of its command. */
  command: readonly string[];
  /** The process that owns it. */
  pid: number;
  /** ISO 8601, as all times here. */
  createdAt: string;
  /** Absent: it has no end. */
  stopsAt?: string;
  /** The ports with an address. */
  ports: readonly {port: number; address: string}[];
  /** `none`, `internet`, or the destinations; absent after the end. */
  egress?: readonly string[];
  /** Limits that were asked for and do not hold here. */
  unreal: readonly string[];
  /** The last activity; absent after the end. */
  activity?: {source: string; at: string};
  /** Why it has ended. */
  end?: SandboxEndFacts;
}

export interface SandboxEndFacts {
  reason: EndReason;
  /** The command's; absent when it was killed, or never ended. */
  code?: number;
  signal?: string;
  /** The code of the error with which it could not be started. */
  error?: string;
  detail?: string;
  at?: string;
}

/** `tunl sandbox run`: a port has its address, and answers. */
export interface PortEvent {
  type: 'port';
  /** The sandbox. */
  id: string;
  port: number;
  /** The address for visitors. */
  address: string;
  url?: string;
  tls?: HostPort;
  tcp?: HostPort;
}

/** `tunl sandbox exec`, `tunl sandbox logs`: output of a command inside. */
export interface OutputEvent {
  type: 'output';
  /** The sandbox. */
  id: string;
  from: 'stdout' | 'stderr';
  /** Cut anywhere between characters. Bytes that are no UTF-8 are replaced. */
  text: string;
}

/** `tunl sandbox exec`: the command inside has ended. */
export interface ExitEvent {
  type: 'exit';
  /** The sandbox. */
  id: string;
  /** The command's; absent when a signal ended it. */
  code?: number;
  signal?: string;
  /** True: it was killed because of --timeout. */
  timedOut?: boolean;
  /** The exit code of `tunl` itself. */
  exitCode: number;
}

/** `tunl sandbox run`, `tunl sandbox stop`: a sandbox has ended. */
export interface FinishedEvent extends SandboxEndFacts {
  type: 'finished';
  id: string;
}

/** `tunl sandbox extend`: it ends later. */
export interface ProlongedEvent {
  type: 'prolonged';
  id: string;
  /** ISO 8601. Absent: it has no end. */
  stopsAt?: string;
}

/** `tunl sandbox egress`: its programs may connect to other destinations now. */
export interface EgressEvent {
  type: 'egress';
  id: string;
  egress: readonly string[];
}

/** `tunl sandbox run`: a program inside wanted to connect where it may not. */
export interface RefusedEvent {
  type: 'refused';
  /** The sandbox. */
  id: string;
  /** The name, or the address where no name is known. */
  host: string;
  /** Absent for a look-up of the name. */
  port?: number;
  why: RefusalReason;
  /** Refusals since the last event that got none of their own. */
  untold: number;
}

/** `tunl sandbox cp`: everything is copied. */
export interface CopiedEvent {
  type: 'copied';
  id: string;
  from: string;
  to: string;
  files: number;
  bytes: number;
}

export interface FindingFacts {
  what: 'memory' | 'cpu' | 'pids' | 'disk' | 'open-files' | 'egress';
  /** `real`: it holds for all processes together. `soft`: for each process alone. */
  reality: 'real' | 'soft' | 'none';
  why?: string;
  /** The command that mends it. */
  mend?: string;
}

/** `tunl sandbox doctor`: what an isolation program can do on this machine. */
export interface BackendEvent {
  type: 'backend';
  name: string;
  available: boolean;
  version?: string;
  /** Why it is not available. */
  why?: string;
  /** The command that mends it. */
  mend?: string;
  /** Each limit, and the rules for the network. */
  findings: readonly FindingFacts[];
  /** Facts that a person should know. */
  notes: readonly string[];
}

export type SandboxCliEvent =
  | StartedEvent
  | SandboxEvent
  | ProlongedEvent
  | EgressEvent
  | RefusedEvent
  | PortEvent
  | OutputEvent
  | ExitEvent
  | FinishedEvent
  | CopiedEvent
  | BackendEvent;

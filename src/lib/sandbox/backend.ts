// The interface of an isolation program. Everything else of a sandbox is common code that knows only this interface.

import type {Duplex, Readable, Writable} from 'node:stream';
import type {EgressRules, SandboxLimits, SandboxSpec} from './spec.js';

export type BackendName = 'bubblewrap' | 'podman' | 'docker';

/** `real`: the kernel holds it for all processes together. `soft`: for each process alone. */
export type LimitReality = 'real' | 'soft' | 'none';

export interface Finding {
  readonly what: string;
  readonly reality: LimitReality;
  /** The reason and, after it, the command that mends it; undefined when there is nothing to mend. */
  readonly why?: string | undefined;
  readonly mend?: string | undefined;
}

/** The abilities of a backend on this machine. */
export interface BackendReport {
  readonly name: BackendName;
  readonly available: boolean;
  /** Program and version, such as `bubblewrap 0.8.0`. */
  readonly version?: string | undefined;
  /** Why it is not available, and the command that mends it. */
  readonly why?: string | undefined;
  readonly mend?: string | undefined;
  readonly limits: Readonly<Record<keyof SandboxLimits, Finding>>;
  readonly egress: Finding;
  /** Facts that a person should know, such as "members of the group docker are root". */
  readonly notes: readonly string[];
}

/** The end of a process. Exactly one of `code` and `signal` is there. */
export interface ProcessEnd {
  readonly code?: number | undefined;
  readonly signal?: NodeJS.Signals | undefined;
  /** It was ended because its own time was over. */
  readonly timedOut?: boolean | undefined;
}

export interface ExecRequest {
  readonly command: readonly string[];
  /** Besides the sandbox's own. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly workdir?: string | undefined;
  /** Undefined: no terminal; stdout and stderr are apart. */
  readonly tty?: {readonly columns: number; readonly rows: number; readonly term: string} | undefined;
  /** Its processes are killed after this long, ms. */
  readonly timeoutMs?: number | undefined;
  /** It lives on when the connection of its caller to the owner of the sandbox ends, and `attach` finds it. */
  readonly keep?: boolean | undefined;
}

/** A process inside, started by the host. The end of the sandbox settles everything. */
export interface SandboxProcess {
  /** `ex_` and a number; unique in its sandbox. */
  readonly id: string;
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Empty with a terminal. */
  readonly stderr: Readable;
  /** Resolves to the end; rejects with SANDBOX_ENDED when the sandbox is gone first. Never unhandled. */
  readonly exit: Promise<ProcessEnd>;
  signal(signal: NodeJS.Signals): Promise<void>;
  resize(columns: number, rows: number): void;
}

export interface FileEntry {
  readonly name: string;
  readonly kind: 'file' | 'folder' | 'link' | 'other';
  readonly bytes: number;
  /** Permission bits. */
  readonly mode: number;
  /** ms since 1970. */
  readonly modifiedAt: number;
}

/** Paths are absolute inside, or relative to the working directory. @throws TunlError SANDBOX_FILE, SANDBOX_ENDED */
export interface SandboxFiles {
  read(path: string): Promise<Readable>;
  /** Missing folders above are made. Resolves when the file is complete. */
  write(path: string, content: Readable, options?: {mode?: number}): Promise<void>;
  list(path: string): Promise<readonly FileEntry[]>;
}

export interface SandboxStats {
  readonly memoryBytes?: number | undefined;
  /** CPU time so far, ms. */
  readonly cpuMs?: number | undefined;
  readonly pids?: number | undefined;
}

/** `lost`: the isolation program or its init died, or stopped answering. */
export type CommandEnd =
  | ({readonly why: 'exited'} & ProcessEnd)
  | {readonly why: 'oom'}
  | {readonly why: 'lost'; readonly detail: string};

/** One running sandbox. */
export interface SandboxHandle {
  readonly backend: BackendName;
  /** Limits that were asked for and are not real here; empty without `bestEffort`. */
  readonly unreal: readonly (keyof SandboxLimits)[];
  /** JSON without secrets, enough for `adopt`. Undefined: the sandbox ends with this process. */
  readonly record?: Readonly<Record<string, unknown>> | undefined;
  /** The output of the command. It must be read. */
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly stdin: Writable;
  /** The end of the command, or of the sandbox. Never rejects. */
  readonly ended: Promise<CommandEnd>;
  /** A connection to 127.0.0.1:`port`, else [::1]:`port`, inside. Half-closes; destroying it resets. @throws ECONNREFUSED and other system codes */
  dial(port: number, signal?: AbortSignal): Promise<Duplex>;
  exec(request: ExecRequest): Promise<SandboxProcess>;
  readonly files: SandboxFiles;
  stats(): Promise<SandboxStats>;
  /** To the command and its process group. */
  signal(signal: NodeJS.Signals): Promise<void>;
  /** Connections that are no longer allowed are cut. */
  setEgress(rules: EgressRules): Promise<void>;
  /** Kills everything inside and removes what the backend made. Idempotent. Rejects when something of it may be left. */
  destroy(): Promise<void>;
}

export interface SandboxBackend {
  readonly name: BackendName;
  probe(): Promise<BackendReport>;
  /** Starts the sandbox and its command. @throws TunlError SANDBOX_* */
  create(spec: SandboxSpec, signal?: AbortSignal): Promise<SandboxHandle>;
  /** The sandbox of a process that has died; undefined: it is gone. */
  adopt?(record: Readonly<Record<string, unknown>>): Promise<SandboxHandle | undefined>;
  /** Removes what dead processes of this user left behind: containers by label, cgroups by name. `isAlive` tells whether a sandbox's owner still runs. */
  sweep?(isAlive: (sandboxId: string) => Promise<boolean>): Promise<void>;
}

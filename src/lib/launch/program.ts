// The description of a program that tunl can start, as one plain value. A new program is another file that exports one.

/** The public side of the tunnel, known before the program starts. */
export interface PublicSide {
  /** The name for visitors: the tunnel's own (TLS) or the relay's (TCP). */
  readonly host: string;
  readonly port: number;
  /** The name that the relay gave, when visitors may use it besides `host`. */
  readonly name?: string;
  /** `https://host[:port]`; absent for a TCP tunnel. */
  readonly url?: string;
}

/** One way to start a program. The first candidate that exists is used. */
export interface Candidate {
  /** A path, or a name that is looked up in PATH. */
  readonly bin: string;
  /** Arguments before the program's own, like `-m jupyterlab`. */
  readonly lead?: readonly string[];
  /** Distinguishes programs (`ttyd`, `gotty`). The functions of the program read it. */
  readonly kind?: string;
  /**
   * A run with these arguments must end with 0. It costs a start, so it is only for candidates whose file alone proves
   * nothing.
   */
  readonly check?: readonly string[];
}

/** The candidate that was found. */
export interface Found {
  /** Absolute. */
  readonly bin: string;
  readonly lead: readonly string[];
  readonly kind: string;
}

/** The facts that are known before the tunnel is open. */
export interface Site {
  /** The port to listen on, on 127.0.0.1. 0 when the program chooses (`choosesPort`). */
  readonly port: number;
  /** Its own folder, mode 0700, removed together with the program. */
  readonly folder: string;
  readonly found: Found;
  /** The environment of tunl. */
  readonly env: Readonly<NodeJS.ProcessEnv>;
  /** 0 is root; -1 without user ids. */
  readonly uid: number;
}

/** The same, with the names of the tunnel. */
export interface NamedSite extends Site {
  readonly public: PublicSide;
}

export interface StartPlan {
  readonly args: readonly string[];
  /** Added to the environment, or removed from it with `undefined`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Must exist. Default: the current folder of tunl. */
  readonly cwd?: string;
  /**
   * `ignore` (default): the input ends at once. `open`: a pipe without data, for dev servers that exit at the end of their
   * input. `inherit`: the terminal.
   */
  readonly stdin?: 'ignore' | 'open' | 'inherit';
}

/** The condition for ready: the program answers; running is not enough. */
export type Readiness =
  | {
      readonly kind: 'http';
      readonly path: string;
      readonly accept: (status: number) => boolean;
      readonly headers?: Readonly<Record<string, string>>;
    }
  | {readonly kind: 'banner'; readonly start: string}
  | {readonly kind: 'tcp'};

/** Login data that a visitor needs besides the address. Secrets are marked, so that each output can handle them. */
export interface LoginFact {
  /** The key in JSON: `password`, `fingerprint`, … */
  readonly name: string;
  /** For people. */
  readonly label: string;
  readonly value: string;
  readonly secret: boolean;
}

export interface OldestVersion {
  readonly version: string;
  /** The file to run with these arguments. Default: the found program. */
  readonly bin?: string;
  readonly args: readonly string[];
}

export type Program = FreeProgram | NamedProgram;

/** Starts beside the tunnel. */
export interface FreeProgram extends ProgramFacts {
  readonly needsName?: false;
  start(site: Site): StartPlan;
}

/** A program that needs its public name and therefore waits for it. */
export interface NamedProgram extends ProgramFacts {
  readonly needsName: true;
  start(site: NamedSite): StartPlan;
}

interface ProgramFacts {
  /** `jupyter`: in commands, folder names, logs. */
  readonly name: string;
  /** `JupyterLab`: in sentences. */
  readonly title: string;
  candidates(env: Readonly<NodeJS.ProcessEnv>): readonly Candidate[];
  /** Turns a path from `--bin` into a candidate, if it is not simply the program. */
  named?(bin: string): Candidate;
  /** The next step for the user when no candidate exists. */
  readonly install: string;
  /** How to get its version, and the oldest usable one. Only used after a failed start, because it costs time. */
  oldest?(found: Found): OldestVersion | undefined;
  /** True: the program gets no port; tunl finds the one that it opens. */
  readonly choosesPort?: boolean;
  /** True: it may answer on 127.0.0.1 or ::1. Default: only on 127.0.0.1. */
  readonly anyLoopback?: boolean;
  /** Runs before the start, for files and checks. Its result is closed when the program has ended. */
  prepare?(site: Site): Promise<{close(): Promise<void>} | undefined>;
  ready(site: Site): Readiness;
  /** Default 60,000. */
  readonly readyTimeoutMs?: number;
  /**
   * A path that answers nobody without the program's secret, and how a user switches that off in the program's own configuration.
   * It is checked when the program is ready: an address that seems protected must be.
   */
  readonly guard?: {readonly path: string; readonly next: string};
  /** How long it may take to stop after SIGTERM, ms. Default 5,000. */
  readonly graceMs?: number;
  /** The line for stdout. */
  address(site: NamedSite): string;
  login(site: NamedSite): readonly LoginFact[];
  /** Each is replaced by … in output that is kept or passed on. */
  readonly secrets?: readonly string[];
}

// What a program that tunl can start looks like: one plain value. A new program is one more file that exports one.

/** The public side of the tunnel, known before the program starts. */
export interface PublicSide {
  /** Name that visitors use: the tunnel's own (TLS) or the relay's (TCP). */
  readonly host: string;
  readonly port: number;
  /** `https://host[:port]`; absent for a TCP tunnel. */
  readonly url?: string;
}

/** One way in which a program may be there. The first candidate that is there is taken. */
export interface Candidate {
  /** A path, or a name that is looked up in PATH. */
  readonly bin: string;
  /** Arguments before the program's own, like `-m jupyterlab`. */
  readonly lead?: readonly string[];
  /** Which of several programs this is (`ttyd`, `gotty`); the functions of the program read it. */
  readonly kind?: string;
  /** Run with these arguments it must end with 0. Only where a file's presence proves nothing: it costs a start. */
  readonly check?: readonly string[];
}

/** The candidate that was found. */
export interface Found {
  /** Absolute. */
  readonly bin: string;
  readonly lead: readonly string[];
  readonly kind: string;
}

/** What is known before the tunnel is there. */
export interface Site {
  /** Where it has to listen, on 127.0.0.1. 0 when it chooses by itself (`choosesPort`). */
  readonly port: number;
  /** Its own folder, mode 0700, removed together with the program. */
  readonly folder: string;
  readonly found: Found;
  /** The environment that tunl was started in. */
  readonly env: Readonly<NodeJS.ProcessEnv>;
  /** 0 is root; -1 where there are no user ids. */
  readonly uid: number;
}

/** The same with the tunnel's names. */
export interface NamedSite extends Site {
  readonly public: PublicSide;
}

export interface StartPlan {
  readonly args: readonly string[];
  /** Added to the environment, or with `undefined` taken out of it. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Must exist. Default: the folder that tunl runs in. */
  readonly cwd?: string;
  /**
   * `ignore` (default): end of input at once. `open`: a pipe that never says anything, for dev servers that leave at the
   * end of their input. `inherit`: the terminal.
   */
  readonly stdin?: 'ignore' | 'open' | 'inherit';
}

/** When a program counts as ready: it answers, not just that it runs. */
export type Readiness =
  | {
      readonly kind: 'http';
      readonly path: string;
      readonly accept: (status: number) => boolean;
      readonly headers?: Readonly<Record<string, string>>;
    }
  | {readonly kind: 'banner'; readonly start: string}
  | {readonly kind: 'tcp'};

/** What a visitor needs besides the address. Secrets are marked, so that each output can treat them as it must. */
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
  /** What to ask with these arguments. Default: the program as found. */
  readonly bin?: string;
  readonly args: readonly string[];
}

export type Program = FreeProgram | NamedProgram;

/** Starts beside the tunnel. */
export interface FreeProgram extends ProgramFacts {
  readonly needsName?: false;
  start(site: Site): StartPlan;
}

/** Has to be told its public name, and so waits for it. */
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
  /** How a path given with `--bin` is to be started, where it is not simply the program. */
  named?(bin: string): Candidate;
  /** What to do when no candidate is there. */
  readonly install: string;
  /** How to ask for its version, and the oldest that will do. Asked only after a failed start: a good one does not pay. */
  oldest?(found: Found): OldestVersion | undefined;
  /** True: it is not told a port; the one that it opens is found. */
  readonly choosesPort?: boolean;
  /** True: it may answer on 127.0.0.1 or ::1. Default: it was told 127.0.0.1. */
  readonly anyLoopback?: boolean;
  /** Runs before the start: files, checks. What it returns is closed when the program has ended. */
  prepare?(site: Site): Promise<{close(): Promise<void>} | undefined>;
  ready(site: Site): Readiness;
  /** Default 60,000. */
  readonly readyTimeoutMs?: number;
  /** How long it may take to stop after SIGTERM, ms. Default 5,000. */
  readonly graceMs?: number;
  /** The line for stdout. */
  address(site: NamedSite): string;
  login(site: NamedSite): readonly LoginFact[];
  /** Replaced by … wherever its output is kept or passed on. */
  readonly secrets?: readonly string[];
}

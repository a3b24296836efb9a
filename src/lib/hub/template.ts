// A template: what a session of it runs, and how. The operator writes it; a user chooses it by its name.

import type {EgressRules, SandboxLimits, SandboxMount} from '../sandbox/spec.js';

export type RestartRule = 'never' | 'on-failure' | 'always';

/** A request that tells whether the program is ready or active. */
export interface HttpProbe {
  readonly path: string;
  readonly headers?: (secret: string) => Readonly<Record<string, string>>;
  readonly accept: (status: number) => boolean;
}

/** The program of one session. `secret` is its own token or password. */
export interface ProgramPlan {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** The facts for the start of a program. */
export interface ProgramSite {
  readonly port: number;
  readonly secret: string;
  /** `https://host[:port]` */
  readonly url: string;
  readonly host: string;
  /** Its working folder inside. */
  readonly home: string;
}

export interface Program {
  readonly title: string;
  plan(site: ProgramSite): ProgramPlan;
  /** Its mounts, besides the template's own. */
  readonly mounts?: readonly SandboxMount[];
  /** Its plan has the template's environment, with placeholders filled in. */
  readonly fillsEnv?: true;
  /** The name to log in with, beside the password. */
  readonly user?: string;
  /** Undefined: it is ready when its port accepts a connection. */
  readonly ready?: HttpProbe | undefined;
  /** The address for a browser. */
  address(site: ProgramSite): string;
  /** How a person gets in. `in-address`: the address has the token. */
  readonly login: 'in-address' | 'password' | 'none';
  /** The program's own word about its activity. */
  readonly activity?: ActivityProbe | undefined;
}

export interface ActivityProbe {
  /** All are asked. */
  readonly paths: readonly string[];
  readonly headers: (secret: string) => Readonly<Record<string, string>>;
  /**
   * The program knows all that its users do. An open page asks for news all the time, so bytes of visitors are then no
   * activity.
   */
  readonly knowsAll: boolean;
  /** Undefined: the answer cannot be read. Times are ms since 1970. */
  read(
    status: number,
    body: string,
  ): {readonly at: number; readonly busy: boolean; readonly detail: string} | undefined;
}

export interface Template {
  readonly name: string;
  readonly title: string;
  readonly program: Program;
  readonly port: number;
  readonly backend: 'auto' | 'bubblewrap' | 'podman' | 'docker';
  readonly image?: string | undefined;
  readonly runtime?: string | undefined;
  readonly limits: SandboxLimits;
  readonly bestEffort: boolean;
  readonly egress: EgressRules;
  readonly mounts: readonly SandboxMount[];
  readonly env: Readonly<Record<string, string>>;
  /** `persistent`: the user finds the same files again. `ephemeral`: they end with the session. */
  readonly home: 'persistent' | 'ephemeral';
  /** Life, ms; 0: none. It is never longer than `maxLifetimeMs`. */
  readonly timeoutMs: number;
  /** The longest life with all extensions, ms; 0: no bound. */
  readonly maxLifetimeMs: number;
  /** Stops after this long without activity, ms; 0: never. */
  readonly idleMs: number;
  /** From the start until it answers, ms. */
  readonly readyTimeoutMs: number;
  readonly restart: RestartRule;
}

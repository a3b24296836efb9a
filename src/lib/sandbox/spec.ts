// The description of one sandbox: the input of a backend. It is whole: all defaults are filled in.

import type {Refusal} from '../seal/refusals.js';
import type {EgressRules} from '../seal/rules.js';

export type {EgressRules} from '../seal/rules.js';

/** Undefined: no limit was asked for. */
export interface SandboxLimits {
  /** Bytes of memory of all processes together, without swap. */
  readonly memoryBytes?: number | undefined;
  /** Processors' time: 0.5 is half of one. */
  readonly cpus?: number | undefined;
  /** Processes and threads. */
  readonly pids?: number | undefined;
  /** Bytes that the sandbox may write outside of the folders that it was given. */
  readonly diskBytes?: number | undefined;
  /** Open files of each process. */
  readonly openFiles?: number | undefined;
}

/** A folder or file of the host that is visible inside. */
export interface SandboxMount {
  /** Absolute path at the host. */
  readonly source: string;
  /** Absolute path inside. */
  readonly target: string;
  readonly readOnly: boolean;
}

export interface SandboxSpec {
  /** `sb_` and eight characters. */
  readonly id: string;
  /** Program and arguments, without a shell. */
  readonly command: readonly string[];
  /** The whole environment, besides PATH, HOME and what the backend needs. It may hold secrets. */
  readonly env: Readonly<Record<string, string>>;
  /** Absolute path inside. Undefined: the backend's home, or the image's working directory. */
  readonly workdir?: string | undefined;
  readonly mounts: readonly SandboxMount[];
  readonly limits: SandboxLimits;
  /** A limit that this machine cannot hold is left out and named in `SandboxHandle.unreal`, instead of an error. */
  readonly bestEffort: boolean;
  readonly egress: EgressRules;
  /** A look-up or a connection from inside was refused. At a bounded rate. */
  readonly onRefused?: ((refusal: Refusal) => void) | undefined;
  /** Engines only: the name of a local image. */
  readonly image?: string | undefined;
  /** Engines only: the OCI runtime, such as `runsc`. */
  readonly runtime?: string | undefined;
  /**
   * Below root: the user id of the host that the sandbox runs as, so that a folder which is mounted to be written to belongs to
   * it. Undefined: the backend picks one. Ignored for other users.
   */
  readonly hostUid?: number | undefined;
  /** A 0700 folder of the host for the backend's own files; its caller removes it in the end. */
  readonly folder: string;
  /** Labels of an engine's containers. */
  readonly labels: Readonly<Record<string, string>>;
}

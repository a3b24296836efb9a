// The options of a cluster over several machines.

import type {Notice} from '../network/run-notices.js';
import type {ConnectionOptions} from '../open-link.js';
import type {ProgramOptions} from './options.js';

export interface JoinClusterOptions extends ProgramOptions, ConnectionOptions {
  /** The cluster's name at the relay. The token needs the scope `cluster:NAME`. */
  name: string;
  /** Members, 1 to 32; the same on all machines. */
  size: number;
  /** The rank of this machine. Default: by the order in which machines join. */
  rank?: number;
  /** How long to wait for the others, before each start, ms. Default 600,000. */
  joinTimeoutMs?: number;
  /** Take connections of the others directly at a TCP port of this machine, where they reach it. Default false. */
  direct?: boolean;
  /** UDP that the program of this machine has sent was refused, and why. At a bounded rate. */
  onNotice?: (notice: Notice) => void;
}

export const JOIN_TIMEOUT_MS = 600_000;
export const MAX_JOIN_TIMEOUT_MS = 7 * 24 * 3_600_000;

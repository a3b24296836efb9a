// A network of its own for a program: not that of this machine, and this process alone leads into it.

import type {Socket} from 'node:net';
import type {TunlError} from '../core/errors.js';

export interface Room {
  /** The words before a command that starts inside, in this folder. */
  prefix(cwd: string): readonly string[];
  /** The process of these words waits for the command, its only child, and holds signals back. */
  readonly waits: boolean;
  /** Connects to a port inside. @throws Error with the system's code */
  dial(port: number, signal?: AbortSignal): Promise<Socket>;
  /** Why the network broke, which kills all that is inside; undefined while it holds, and after `close`. */
  readonly error: TunlError | undefined;
  /** Aborts when the network broke. */
  readonly lost: AbortSignal;
  /** Kills all that is still inside. Idempotent. */
  close(): Promise<void>;
}

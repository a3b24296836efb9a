// The parts that the owner of a sandbox gets from the process that it lives in.

import type {Clock} from '../core/clock.js';
import type {OpenBackend} from './choose.js';
import type {LogPiece} from './control.js';
import type {SandboxEvent} from './events.js';
import type {OwnSandbox} from './roster.js';

export interface HostParts {
  readonly own: Pick<OwnSandbox, 'id' | 'workFolder' | 'change' | 'end'>;
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: SandboxEvent) => void) | undefined;
  /** All output of the command as it comes. The piece is not kept. */
  readonly onOutput?: ((piece: LogPiece) => void) | undefined;
  /** For tests. */
  readonly openBackend?: OpenBackend | undefined;
  readonly clock?: Clock | undefined;
  readonly wall?: (() => number) | undefined;
}

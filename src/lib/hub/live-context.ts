// The services of the hub for one session.

import type {Clock} from '../core/clock.js';
import type {Logger} from '../core/logger.js';
import type {LogPiece, SandboxControl, SandboxEnd} from '../sandbox/control.js';
import type {SessionEvent, SessionRecord} from './session.js';
import type {ProgramSite, Template} from './template.js';

export interface LiveContext {
  readonly clock: Clock;
  readonly wallNow: () => number;
  readonly log: Logger;
  readonly template: Template;
  readonly record: SessionRecord;
  /** Waits for a turn. */
  enterQueue(signal: AbortSignal): Promise<void>;
  leaveQueue(): void;
  /** Starts the sandbox with this id. */
  start(sandboxId: string): Promise<SandboxControl>;
  newId(): string;
  /** The sandbox of an earlier hub, or one that was lost. @throws when its owner does not answer */
  open(sandboxId: string): Promise<SandboxControl | undefined>;
  /** Returns when it has ended, also when its owner does not answer. It must not fail. */
  end(sandboxId: string): Promise<void>;
  endOf(sandboxId: string): Promise<SandboxEnd | undefined>;
  outputOf(sandboxId: string): Promise<readonly LogPiece[]>;
  site(): ProgramSite;
  /** Stores the record. It must not fail: a session goes on without its file. */
  save(): Promise<void>;
  emit(type: SessionEvent['type']): void;
}

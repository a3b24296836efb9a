// The hub's view of sandboxes. Each runs under a supervisor of its own, which outlives the hub.

import type {LogPiece, SandboxControl, SandboxEnd} from '../sandbox/control.js';
import type {Template} from './template.js';

type FromTemplate =
  | 'port'
  | 'backend'
  | 'image'
  | 'runtime'
  | 'limits'
  | 'bestEffort'
  | 'egress'
  | 'mounts'
  | 'env'
  | 'timeoutMs';

export interface SandboxWish extends Pick<Template, FromTemplate> {
  /** From `newId`. */
  readonly id: string;
  readonly command: readonly string[];
  /** The subdomain of the port's address. */
  readonly label: string;
  readonly workdir?: string | undefined;
  /** As root: the host's user that it runs as. */
  readonly hostUid?: number | undefined;
}

export interface HubSandboxes {
  /** Chosen before the start, so that a hub which is killed in between finds its sandbox again. */
  newId(): string;
  /** Resolves as soon as the sandbox has an id; it may not run yet. @throws TunlError SANDBOX_*, RELAY_* */
  start(wish: SandboxWish): Promise<SandboxControl>;
  /** A sandbox that another process has started; undefined: it is gone. */
  open(id: string): Promise<SandboxControl | undefined>;
  /** Ends a sandbox, also one whose owner does not answer. Resolves as well when there is none. @throws TunlError SANDBOX_SILENT */
  end(id: string): Promise<void>;
  /** Why a sandbox has ended; undefined: nobody wrote it down, or it still runs. */
  endOf(id: string): Promise<SandboxEnd | undefined>;
  /** The last output of a sandbox that has ended. */
  outputOf(id: string): Promise<readonly LogPiece[]>;
}

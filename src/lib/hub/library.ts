// `startHub` for programs: templates as plain values, and what a program does with a hub.

import type {LogSink} from '../core/logger.js';
import type {OptionsOf} from '../core/settings.js';
import type {SessionView} from './session.js';
import type {HUB_SETTINGS, TEMPLATE_SETTINGS} from './settings-table.js';

/** The settings of a template in hub.yaml, by their names in the library: `idleMs`, `timeoutMs`, `readyTimeoutMs`. */
export type HubTemplate = OptionsOf<typeof TEMPLATE_SETTINGS>;

export interface HubOptions extends OptionsOf<typeof HUB_SETTINGS> {
  /** By name. The first one is that of a request without a template. */
  templates: Readonly<Record<string, HubTemplate>>;
  /** Default: as for `forward`. */
  stateDir?: string;
  log?: LogSink;
  /** Ends the hub. Sessions run on. */
  signal?: AbortSignal;
}

/** A hub that runs. Sessions outlive it: the next hub with the same state folder takes them over. */
export interface RunningHub extends AsyncDisposable {
  /** `https://hub.r1.example.net`: the page, and the API. */
  readonly url: string;
  /** Settles when the hub has ended: by `close`, the signal, or with its own tunnel. */
  readonly closed: Promise<void>;
  /** Makes a user and a token, which nothing shows again. @throws TunlError OPTION_INVALID */
  addUser(name: string, options?: {quota?: number; admin?: boolean}): Promise<{token: string}>;
  /** Running ones first, then those that ended within a day. */
  sessions(): readonly SessionView[];
  /** @throws TunlError HUB_SESSION_UNKNOWN */
  stop(id: string): Promise<SessionView>;
  /** Idempotent. */
  close(): Promise<void>;
}

/**
 * Starts a hub and resolves when its address answers.
 *
 * @throws TunlError OPTION_INVALID, HUB_RUNS, HUB_TEMPLATE_UNKNOWN, STATE_DIR, or an error of `forward`
 */
export async function startHub(options: HubOptions): Promise<RunningHub> {
  // Imported here because most programs with the library start no hub.
  const {openHub} = await import('./open-hub.js');
  return await openHub(options);
}

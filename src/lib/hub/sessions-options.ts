// The parts and limits that the sessions of a hub need.

import type {Clock} from '../core/clock.js';
import type {Logger} from '../core/logger.js';
import type {Floors} from './capacity.js';
import type {Homes} from './homes.js';
import type {HubSandboxes} from './sandboxes.js';
import type {SessionFolder} from './session-folder.js';
import type {Template} from './template.js';
import type {HubUser} from './users.js';

export interface SessionsOptions {
  readonly templates: ReadonlyMap<string, Template>;
  readonly sandboxes: HubSandboxes;
  readonly folder: SessionFolder;
  readonly homes: Homes;
  readonly stateDir: string;
  /** A user that still exists. */
  readonly userById: (id: string) => Promise<HubUser | undefined>;
  /** The public address of a subdomain, as the relay gives it. */
  readonly addressOf: (label: string) => {readonly url: string; readonly host: string};
  readonly mostSessions: number;
  readonly startsAtOnce: number;
  readonly mostQueued: number;
  readonly floors: Floors;
  readonly clock: Clock;
  readonly log: Logger;
  readonly wallNow?: () => number;
}

// The parts of the relay that its agents need.

import type {Clock} from '../../core/clock.js';
import type {Logger} from '../../core/logger.js';
import type {BlockPool} from '../../mux/blocks.js';
import type {ReplayBudget} from '../../mux/replay-budget.js';
import type {WindowBudget} from '../../mux/window-budget.js';
import type {Blocks} from '../access/blocked.js';
import type {Load} from '../doors/load.js';
import type {RelayEvents} from '../events.js';
import type {SessionLimit} from '../limits/session-limit.js';
import type {RelaySettings} from '../settings.js';
import type {Tunnel, TunnelTable} from '../tunnels/tunnel-table.js';
import type {BindsOptions} from './binds.js';
import type {OpenedStreams} from './opened-streams.js';
import type {SessionCounts} from './session-counts.js';
import type {WorkerPlace} from './worker-place.js';

/** Those that a reload can change. */
export type AgentSettings = Pick<
  RelaySettings,
  'resumeWindowMs' | 'maxTunnelsPerAgent' | 'maxLeasesPerOwner' | 'successors'
>;

export interface AgentsOptions extends AgentSettings {
  /** The relay's own name: agents dial it, and those without a token sign it. */
  domain: string;
  software: string;
  tunnels: TunnelTable;
  names: BindsOptions['names'];
  /** Gets the streams that agents open. */
  streams: OpenedStreams;
  /** Why visitors of a name that agents have just bound may fail. */
  warningOf: (tunnel: Tunnel) => string | undefined;
  /** A tunnel is bound, and its agent knows it: visitors may come. */
  onBound: (tunnel: Tunnel) => void;
  onRestricted: (tunnel: Tunnel) => void;
  pool: BlockPool;
  windowBudget: WindowBudget;
  replayBudget: ReplayBudget;
  keepForReplay: boolean;
  /** The upper bound of the random wait before agents that are sent away come back, ms. */
  comeBackWithinMs: number;
  /** This process among several of the relay. Undefined: it is the only one. */
  worker?: WorkerPlace | undefined;
  /** Default: only the sessions of this process. */
  sessionCounts?: SessionCounts | undefined;
  /** Default: an owner has any number of sessions. */
  sessions?: Pick<SessionLimit, 'refusalOf'> | undefined;
  /** Owners that may not connect. Default: none. */
  blocks?: Pick<Blocks, 'hasOwner'> | undefined;
  load: Pick<Load, 'add'>;
  events: Pick<RelayEvents, 'emit'>;
  clock: Clock;
  log: Logger;
}

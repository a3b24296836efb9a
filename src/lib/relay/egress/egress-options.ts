// The options of egress at the relay.

import type {Clock} from '../../core/clock.js';
import type {Logger} from '../../core/logger.js';
import type {BlockPool} from '../../mux/blocks.js';
import type {Resolver} from '../../net/name-lookup.js';
import type {Load} from '../doors/load.js';
import type {RelayEvents} from '../events.js';
import type {Bandwidths} from '../limits/bandwidth.js';
import type {LimitReports} from '../limits/limit-reports.js';
import type {VisitorCounts} from '../limits/visitor-counts.js';
import type {RelaySettings} from '../settings.js';
import type {OwnPorts} from './own-ports.js';
import type {TryBind} from './source-health.js';

export type EgressSettings = Pick<
  RelaySettings,
  | 'egress'
  | 'egressAllowPrivate'
  | 'egressMail'
  | 'egressUdp'
  | 'egressPorts'
  | 'maxEgressPerOwner'
  | 'egressPerSecondPerOwner'
  | 'keepAliveMs'
>;

export interface EgressOptions {
  settings: EgressSettings;
  domain: string;
  own: OwnPorts;
  pool: BlockPool;
  bandwidths: Pick<Bandwidths, 'of'>;
  reports: Pick<LimitReports, 'note'>;
  load: Pick<Load, 'add'>;
  events: Pick<RelayEvents, 'emit'>;
  log: Pick<Logger, 'warn'>;
  clock: Clock;
  /** The connections of the owners in all processes of this relay. Default: this one is alone. */
  counts?: VisitorCounts | undefined;
  /** Counts new connections of owners in all processes of this relay. Default: this one is alone. */
  newConnections?: {take(owner: string): number | Promise<number>} | undefined;
  /** True when connections would take the descriptors that others need. */
  isFull?: () => boolean;
  /**
   * False: an address that is not of this machine is unhealthy, and no reason not to start. A worker that takes another one's
   * place must serve. Default true.
   */
  mustStart?: boolean;
  /** For tests: a DNS, a system and times of their own. */
  resolver?: Pick<Resolver, 'find'>;
  tryBind?: TryBind;
  ownAddresses?: () => readonly string[];
  dialTimeoutMs?: number;
}

// The options that a connection by egress and a flow of datagrams have in common.

import type {Clock} from '../../core/clock.js';
import type {Stream} from '../../mux/stream.js';
import type {Opener} from '../agents/opened-streams.js';
import type {RelayEvents} from '../events.js';
import type {Bandwidth} from '../limits/bandwidth.js';
import type {DestinationOptions} from './destination.js';
import type {EgressSet} from './egress-set.js';
import type {LocalPorts} from './local-ports.js';

export interface WayOptions extends DestinationOptions {
  stream: Stream;
  opener: Opener;
  /** The egress as it is now. Undefined: it is gone. */
  setNow: () => EgressSet | undefined;
  ports: LocalPorts;
  bandwidth: Bandwidth | undefined;
  /** From the egress as it is now. */
  sourceFor: (family: 4 | 6) => string | undefined;
  onSourceLost: (source: string, code: string) => void;
  onSource: (source: string, change: 1 | -1) => void;
  /** The way to the destination is open. */
  onOpened: () => void;
  onOver: () => void;
  clock: Pick<Clock, 'now'>;
  events: Pick<RelayEvents, 'emit'>;
}

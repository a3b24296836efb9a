// Makes the egress of a relay from the parts that it needs.

import type {Room} from '../doors/room.js';
import type {Seat} from '../workers/seat.js';
import {Egress} from './egress.js';
import type {EgressOptions} from './egress-options.js';
import {RemoteNewConnections} from './new-connections.js';
import {type OwnPortsOptions, ownPorts} from './own-ports.js';

type Needed = Pick<
  EgressOptions,
  'domain' | 'pool' | 'bandwidths' | 'reports' | 'load' | 'events' | 'log' | 'clock'
> &
  Pick<OwnPortsOptions, 'door' | 'publicPort' | 'tunnels'>;

export interface MakeEgressOptions extends Needed {
  settings: EgressOptions['settings'] & OwnPortsOptions['settings'];
  room: Pick<Room, 'noneForEgress'>;
  /** This process is one worker of several. */
  seat: Pick<Seat, 'visitorCounts' | 'elsewhere' | 'takeEgress'> | undefined;
}

export function makeEgress({
  settings,
  door,
  publicPort,
  tunnels,
  room,
  seat,
  ...more
}: MakeEgressOptions): Egress {
  return new Egress({
    ...more,
    settings,
    own: ownPorts({settings, door, publicPort, tunnels, elsewhere: seat?.elsewhere}),
    isFull: room.noneForEgress,
    counts: seat?.visitorCounts,
    newConnections: seat && new RemoteNewConnections({clock: more.clock, ask: seat.takeEgress}),
    mustStart: seat === undefined,
  });
}

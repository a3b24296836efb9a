// What every way through the broken network looks like to the fault bench.

import type {NetPath} from '../../../test/helpers/net-path.js';
import type {Scope} from '../../../test/helpers/scope.js';
import type {Tools} from '../../machine/tools.js';

/** By which agents know the relay's host. */
export const RELAY_NAME = 'r1.example.test';

export interface FaultPlace {
  scope: Scope;
  tools: Tools;
  /** The relay's part runs on the near host, the agent's on the far one. */
  path: NetPath;
  /** On the far host's loopback. */
  upstreamPort: number;
}

/** Where visitors on the near host connect to. */
export interface PublicSide {
  host: string;
  port: number;
}

export interface FaultPeer {
  name: string;
  /** What its link is made of. */
  over: 'tcp' | 'udp';
  /** Programs without which the peer is left out. */
  needs: readonly string[];
  version(tools: Tools): string | undefined;
  start(place: FaultPlace): Promise<PublicSide>;
}

// The interface that each tool implements for the fault bench.

import type {NetPath} from '../../../test/helpers/net-path.js';
import type {Scope} from '../../../test/helpers/scope.js';
import type {Tools} from '../../machine/tools.js';

/** The name of the relay's host in /etc/hosts. */
export const RELAY_NAME = 'r1.example.test';

export interface FaultPlace {
  scope: Scope;
  tools: Tools;
  /** The relay's part runs on the near host, the agent's on the far one. */
  path: NetPath;
  /** It listens on the far host. */
  upstreamPort: number;
}

/** Where visitors on the near host connect to. */
export interface PublicSide {
  host: string;
  port: number;
}

export interface FaultPeer {
  name: string;
  /** The transport of its link. */
  over: 'tcp' | 'udp';
  /** Programs without which the peer is left out. */
  needs: readonly string[];
  version(tools: Tools): string | undefined;
  start(place: FaultPlace): Promise<PublicSide>;
}

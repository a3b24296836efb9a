// Tunnels in other processes of this relay, as the tunnel table of one process sees them.

import type {LeaseKey} from '../leases/lease-store.js';

export interface Elsewhere {
  /** Has one of them a tunnel with this key, over a live link? */
  inUse(key: LeaseKey): Promise<boolean>;
  /** Has one of them this key? A claim takes it from there. */
  holds(key: LeaseKey): Promise<boolean>;
}

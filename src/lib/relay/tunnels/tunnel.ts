// A tunnel: a public name or port, and the session behind it.

import type {ErrorCode} from '../../core/errors.js';
import type {Session} from '../../mux/session.js';
import type {AddressFilter} from '../../net/address-filter.js';
import type {TunnelRequest} from '../../protocol/control-messages.js';
import type {Principal} from '../access/principal.js';
import type {Claimant, LeaseKey} from '../leases/lease-store.js';

/** A public name or port and the session behind it. */
export interface Tunnel {
  /** The number of the tunnel in OPENs of its session. */
  readonly id: number;
  readonly key: LeaseKey;
  /** The relay has drawn the name, for this agent or for an earlier one. */
  readonly isRandom: boolean;
  readonly session: Session;
  /** The owner of the lease (access/principal.ts). */
  readonly owner: string;
  /** The rights and limits of its agent now. */
  readonly principal: Principal;
  /** The name of the session in events. */
  readonly sessionName: string;
  readonly epoch: number;
  readonly host: string;
  readonly port: number;
  /** The protocols that ALPN offers, the best first. */
  readonly alpn: readonly string[];
  /** When it was bound, ms of the clock. */
  readonly since: number;
  readonly traffic: TunnelTraffic;
  /** Undefined: visitors may come from everywhere. */
  addresses: AddressFilter | undefined;
  /** The holder gave it up: no new visitors. */
  draining: boolean;
  /** Tells the holder that it lost the tunnel, with the reason. */
  onLost: (code: ErrorCode, message: string) => void;
  /** Tells the holder why visitors fail; each reason once. */
  warn: (code: ErrorCode, message: string) => void;
}

/** The visitors of a tunnel since it was bound; the bytes of those that have left. */
export interface TunnelTraffic {
  visitors: number;
  bytesIn: number;
  bytesOut: number;
}

export interface BindRequest {
  wish: TunnelRequest;
  principal: Principal;
  claimant: Claimant;
  addresses: AddressFilter | undefined;
  session: Session;
  sessionName: string;
  onLost: Tunnel['onLost'];
  warn: Tunnel['warn'];
}

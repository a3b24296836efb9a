// All that a relay needs to probe its public side: for itself, and for agents that ask.

import type {Clock} from '../../core/clock.js';
import type {StreamHandler} from '../../mux/stream-kinds.js';
import type {HostPort} from '../../protocol/targets.js';
import type {Opener} from '../agents/opened-streams.js';
import type {RelayEvents} from '../events.js';
import type {RelaySettings} from '../settings.js';
import type {TunnelTable} from '../tunnels/tunnel-table.js';
import type {Seat} from '../workers/seat.js';
import {OwnDials} from './own-dials.js';
import {OWN_OWNER, OwnTunnel} from './own-tunnel.js';
import {probeService} from './probe-service.js';
import {PublicDial} from './public-dial.js';
import {SelfProbe} from './self-probe.js';

export interface ProbingOptions {
  settings: Pick<RelaySettings, 'domain' | 'tcpHost' | 'tcpPublicHost' | 'probe'>;
  publicPort: () => number;
  door: {readonly address: HostPort};
  certificates: {readonly trust: string};
  seat: Pick<Seat, 'leases' | 'onProbe'> | undefined;
  events: Pick<RelayEvents, 'emit'>;
  clock: Clock;
}

export class Probing {
  readonly own = new OwnDials();
  /** Undefined: the relay does not probe itself. */
  readonly tunnel: OwnTunnel | undefined;
  readonly self: SelfProbe | undefined;
  readonly #options: ProbingOptions;
  readonly #dial: PublicDial;

  constructor(options: ProbingOptions) {
    this.#options = options;
    const {settings, seat, events, clock, publicPort, door, certificates} = options;
    const {tcpHost, tcpPublicHost} = settings;
    this.#dial = new PublicDial({publicPort, door, certificates, tcpHost, tcpPublicHost, own: this.own});
    if (!settings.probe) return;
    const tunnel = new OwnTunnel({domain: settings.domain, publicPort, clock});
    this.tunnel = tunnel;
    this.self = new SelfProbe({
      ...{tunnel, dial: this.#dial, events, clock},
      isListening: () => door.address.port !== 0,
      // The first process of several passes visitors of the name on to this one.
      claim: async () => void (await seat?.leases.claim(`tls:${tunnel.label}`, OWN_OWNER)),
      onState: seat?.onProbe,
    });
  }

  /** Takes streams of the service `probe`. */
  service(tunnels: TunnelTable): StreamHandler<Opener> {
    const {settings, clock} = this.#options;
    return probeService({domain: settings.domain, tunnels, dial: this.#dial, clock});
  }
}

// All that a relay needs for private networks: memberships, streams between members, and the way to other workers.

import type {UnreadLimit} from '../../bytes/unread-limit.js';
import type {Clock} from '../../core/clock.js';
import type {Logger} from '../../core/logger.js';
import type {Session} from '../../mux/session.js';
import {KIND} from '../../protocol/wire.js';
import {type MemberTraffic, type NetworkStatus, withTraffic} from '../admin/report.js';
import type {Load} from '../doors/load.js';
import type {Room} from '../doors/room.js';
import type {RelayEvents} from '../events.js';
import type {Bandwidths} from '../limits/bandwidth.js';
import type {LimitReports} from '../limits/limit-reports.js';
import type {Part} from '../part.js';
import type {Seat} from '../workers/seat.js';
import {LocalDesk} from './desk.js';
import {MemberStreams} from './member-streams.js';
import {Networks} from './networks.js';
import {Peers} from './peers.js';
import {RendezvousTable} from './rendezvous.js';

export interface PrivateNetworksOptions {
  domain: string;
  /** The session of an agent in this process. */
  sessionOf: (id: string) => Session | undefined;
  seat: Pick<Seat, 'number' | 'networkDesk' | 'peersFolder'> | undefined;
  unread: Pick<UnreadLimit, 'add' | 'delete'>;
  bandwidths: Pick<Bandwidths, 'of'>;
  load: Pick<Load, 'add'>;
  room: Pick<Room, 'noneForEgress'>;
  reports: Pick<LimitReports, 'note'>;
  events: Pick<RelayEvents, 'emit'>;
  clock: Clock;
  log: Logger;
}

export class PrivateNetworks implements Part {
  readonly members: Networks;
  readonly streams: MemberStreams;
  readonly rendezvous: RendezvousTable;
  readonly #localDesk: LocalDesk | undefined;
  readonly #peers: Peers | undefined;

  constructor(options: PrivateNetworksOptions) {
    const {seat, clock, log, sessionOf} = options;
    this.#localDesk = seat === undefined ? new LocalDesk(clock) : undefined;
    const desk = seat?.networkDesk ?? (this.#localDesk as LocalDesk);
    this.members = new Networks({...options, desk});
    this.#localDesk?.serves(this.members);
    const folder = seat?.peersFolder;
    this.#peers =
      seat === undefined || folder === undefined
        ? undefined
        : new Peers({
            ...{folder, number: seat.number, clock, log},
            onStream: (stream, payload) => this.streams.fromPeer(stream, payload),
          });
    this.rendezvous = new RendezvousTable({
      ...{...options, worker: seat?.number ?? 0},
      hasRoom: () => !options.room.noneForEgress(),
    });
    this.streams = new MemberStreams({
      ...{...options, networks: this.members, desk, peers: this.#peers, rendezvous: this.rendezvous},
      openTo: (session, about) => sessionOf(session)?.open(KIND.member, about),
    });
  }

  /** In this process; with several workers the first process counts. */
  get counts(): {networks: number; members: number} {
    return this.#localDesk?.counts ?? {networks: 0, members: 0};
  }

  /** As `counts`. */
  status(most: number): NetworkStatus[] {
    return withTraffic(this.#localDesk?.status(most) ?? [], this.traffic(most));
  }

  /** The bytes of the members in this process. */
  traffic(most: number): MemberTraffic[] {
    return this.members.traffic(most);
  }

  async start(): Promise<void> {
    await this.#peers?.start();
  }

  close(): void {
    this.rendezvous.close();
    this.#peers?.close();
    this.#localDesk?.close();
  }
}

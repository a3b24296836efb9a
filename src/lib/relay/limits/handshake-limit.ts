// The TLS handshakes that one address may have in flight. An honest one needs few: a handshake takes one round trip.

import {isLoopbackHost} from '../../protocol/targets.js';
import type {Peer} from '../doors/peer.js';
import type {TrustCheck} from '../doors/trusted.js';
import type {Part} from '../part.js';
import type {LimitReports} from './limit-reports.js';
import {type LimitSettings, STANDARD_HANDSHAKES} from './limit-settings.js';

type HandshakeSettings = Pick<LimitSettings, 'maxHandshakesPerAddress'>;

export interface HandshakeLimitOptions {
  settings: HandshakeSettings;
  isTrusted: TrustCheck;
  reports: Pick<LimitReports, 'note'>;
}

export class HandshakeLimit implements Part {
  readonly #options: HandshakeLimitOptions;
  #settings: HandshakeSettings;

  constructor(options: HandshakeLimitOptions) {
    this.#options = options;
    this.#settings = options.settings;
  }

  reload(settings: HandshakeSettings): void {
    this.#settings = settings;
  }

  /** The number that this address may have. The standard one is not for the relay's own machine: a proxy there stands for many. */
  readonly of = ({address}: Peer): number => {
    const given = this.#settings.maxHandshakesPerAddress;
    if (this.#options.isTrusted(address)) return Number.POSITIVE_INFINITY;
    return given ?? (isLoopbackHost(address) ? Number.POSITIVE_INFINITY : STANDARD_HANDSHAKES);
  };

  readonly refused = ({source}: Peer): void => this.#options.reports.note('handshakes', 'address', source);
}

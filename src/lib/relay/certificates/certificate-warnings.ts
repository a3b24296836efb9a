// Tells the owners of tunnels why visitors may not trust the relay's certificate: with each bind, and when that changes later.

import type {Clock} from '../../core/clock.js';
import type {Tunnel, TunnelTable} from '../tunnels/tunnel-table.js';
import type {CertificateSource} from './certificates.js';

/** The names that are checked in one turn: each costs some microseconds, and a relay may have 100,000. */
const NAMES_A_TURN = 200;

export interface CertificateWarningsOptions {
  certificates: Pick<CertificateSource, 'warningOf'>;
  tunnels: Pick<TunnelTable, 'allNamed'>;
  clock: Pick<Clock, 'soon'>;
}

export class CertificateWarnings {
  readonly #options: CertificateWarningsOptions;

  constructor(options: CertificateWarningsOptions) {
    this.#options = options;
  }

  readonly of = ({key, host}: Tunnel): string | undefined =>
    key.startsWith('tls:') ? this.#options.certificates.warningOf(host) : undefined;

  /** The certificate has changed or has expired. */
  tell(): void {
    const {tunnels, clock} = this.#options;
    const left = tunnels.allNamed();
    const some = () => {
      for (let count = 0; count < NAMES_A_TURN; count += 1) {
        const {value: tunnel, done} = left.next();
        if (done) return;
        const warning = this.of(tunnel);
        if (warning !== undefined) tunnel.warn('RELAY_CERTIFICATE', warning);
      }
      clock.soon(some);
    };
    some();
  }
}

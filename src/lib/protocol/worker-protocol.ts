// The ALPN protocol that names a process of the relay. ALPN is in the ClientHello, so a relay can read it before TLS begins.
// Agents offer it after `http/1.1`; no relay chooses it.

import {MAX_WORKER} from './link-messages.js';

const PREFIX = 'tunl-worker-';

export const workerProtocol = (worker: number): string => `${PREFIX}${worker}`;

/** The worker that is named among these protocols. */
export function workerAmong(protocols: readonly string[]): number | undefined {
  for (const protocol of protocols) {
    const digits = protocol.startsWith(PREFIX) ? protocol.slice(PREFIX.length) : '';
    const number = /^[1-9]\d{0,4}$/.test(digits) ? Number(digits) : 0;
    if (number > 0 && number <= MAX_WORKER) return number;
  }
  return undefined;
}

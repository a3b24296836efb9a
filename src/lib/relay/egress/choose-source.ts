// Chooses the address that a connection leaves from. Pure.

import {createHash} from '../../core/node-crypto.js';

/**
 * Rendezvous hashing: the same address for the same `who` and `host` while it is usable. When one address is lost, only the
 * connections that had it move.
 */
export function steadySource(
  usable: readonly string[],
  {egress, who, host}: {egress: string; who: string; host: string},
): string | undefined {
  let best: {address: string; weight: string} | undefined;
  for (const address of usable) {
    const weight = createHash('sha256')
      .update(JSON.stringify([egress, who, host, address]))
      .digest('hex');
    if (best === undefined || weight > best.weight) best = {address, weight};
  }
  return best?.address;
}

/** The one with the fewest connections; equals take turns. @param turn grows with each call. */
export function leastUsedSource(
  usable: readonly string[],
  used: (address: string) => number,
  turn: number,
): string | undefined {
  let best: {address: string; count: number} | undefined;
  for (let at = 0; at < usable.length; at += 1) {
    const address = usable[(at + turn) % usable.length] as string;
    const count = used(address);
    if (best === undefined || count < best.count) best = {address, count};
  }
  return best?.address;
}

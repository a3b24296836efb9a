// The network that a command has besides its private one.

import {TunlError} from '../core/errors.js';
import type {RelayLink} from '../open-link.js';
import type {MemberSealOptions} from './member-seal.js';

export interface OutsideOptions {
  /** The members of the network, and nothing else. Default false. */
  isolated?: boolean | undefined;
  /** Public addresses by this egress of the relay. Default: by this machine. */
  egress?: string | undefined;
}

/** @throws TunlError OPTION_INVALID */
export function checkOutside({isolated, egress}: OutsideOptions): void {
  if (isolated && egress !== undefined)
    throw new TunlError('OPTION_INVALID', {
      reason: '`isolated` and `egress` contradict each other.',
      next: 'Give one of them.',
    });
}

/** Undefined: public addresses, by this machine. @throws TunlError EGRESS_UNKNOWN, RELAY_* */
export async function outsideOf(
  link: RelayLink,
  {isolated, egress}: OutsideOptions,
  signal: AbortSignal | undefined,
): Promise<MemberSealOptions['outside']> {
  if (isolated) return {rules: {kind: 'none'}};
  if (egress === undefined) return undefined;
  // Imported here because most commands need no egress.
  const [{addressesOf, EgressClient}, {datagramsByEgress}, {outsideByEgress}] = await Promise.all([
    import('../egress/client.js'),
    import('../egress/datagrams.js'),
    import('../egress/run.js'),
  ]);
  const client = new EgressClient(link, {egress});
  await addressesOf(link, egress, signal);
  const opening = Promise.resolve(client);
  return {...outsideByEgress(opening), datagramsOut: datagramsByEgress(opening)};
}

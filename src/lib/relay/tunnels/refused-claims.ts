// Why an agent does not get the name or port that it asked for.

import {errorForPeer, TunlError} from '../../core/errors.js';
import type {ClaimResult, LeaseKey} from '../leases/lease-store.js';

/** Undefined: another owner has it. @throws TunlError every other reason */
export function refusedClaim(key: LeaseKey, claim: ClaimResult & {ok: false}): undefined {
  switch (claim.reason) {
    case 'superseded':
      throw takenOver(key);
    case 'owner-full':
      throw errorForPeer('TOO_MANY_TUNNELS', {
        reason: 'All agents with this token or key together have as many tunnels as the relay allows.',
      });
    case 'owner-limit':
      throw errorForPeer('LIMIT_REACHED', {reason: 'The owner has as many tunnels as its token allows.'});
    case 'full':
      throw errorForPeer('RELAY_BUSY', {reason: 'The relay cannot keep more names and ports.'});
    case 'taken':
      return undefined;
  }
}

export const blocked = (key: LeaseKey): TunlError =>
  new TunlError('BLOCKED', {reason: `The operator has blocked ${key.slice(4)}.`});

export const takenOver = (key: LeaseKey): TunlError =>
  errorForPeer('TAKEN_OVER', {reason: `Another agent of the same owner took over ${key.slice(4)}.`});

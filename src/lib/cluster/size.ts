// The size of a cluster.

import {TunlError} from '../core/errors.js';

/** The most members of a cluster. */
export const MOST_MEMBERS = 32;

/** @throws TunlError OPTION_INVALID */
export function checkSize(size: number): number {
  if (Number.isInteger(size) && size >= 1 && size <= MOST_MEMBERS) return size;
  throw new TunlError('OPTION_INVALID', {
    reason: `A cluster has 1 to ${MOST_MEMBERS} members, not ${size}.`,
    next: `Give a whole number from 1 to ${MOST_MEMBERS}.`,
  });
}

// Turns the peer's `close` message into an error of this side.

import {TunlError} from '../core/errors.js';
import {VIOLATION_CODES} from '../protocol/wire.js';

/** Undefined: an orderly end. An unknown code counts as a lost relay. */
export function closeError(code: string, message: string): TunlError | undefined {
  const violation = VIOLATION_CODES.find((each) => each === code);
  if (violation !== undefined) return new TunlError(violation, {reason: message});
  switch (code) {
    case 'CLOSED':
      return undefined;
    case 'SESSION_RANGE':
    case 'TAKEN_OVER':
    case 'RELAY_BUSY':
    case 'TOKEN_MISSING':
    case 'TOKEN_WRONG':
    case 'TOKEN_REVOKED':
    case 'TOKEN_EXPIRED':
    case 'KICKED':
    case 'BLOCKED':
      return new TunlError(code, {reason: message, fromRelay: true});
    default:
      return new TunlError('RELAY_LOST', {reason: message});
  }
}

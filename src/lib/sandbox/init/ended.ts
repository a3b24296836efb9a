// The error of everything that is asked of a sandbox that has ended.

import {TunlError} from '../../core/errors.js';

export function ended(cause?: unknown): TunlError {
  return new TunlError('SANDBOX_ENDED', {cause});
}

// `startRelay`: a whole relay from one call.

import {TunlError} from '../core/errors.js';
import type {Relay, RelayOptions} from './options.js';

/** Starts a relay and resolves when it listens. */
export async function startRelay(options: RelayOptions = {}): Promise<Relay> {
  throw new TunlError('UNEXPECTED', {reason: `the relay ${options.domain ?? ''} comes next`});
}

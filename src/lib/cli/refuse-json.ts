// Some results are bytes for another program, such as a file. stdout has either those or the events of --json.

import {TunlError} from '../core/errors.js';

/** @param bytes the result, as the subject of a sentence. @param instead what to do but for leaving --json out. @throws TunlError USAGE */
export function refuseJson(json: boolean | undefined, bytes: string, instead?: string): void {
  if (!json) return;
  throw new TunlError('USAGE', {
    reason: `${bytes} on stdout leave no room for the events of --json.`,
    next: instead === undefined ? 'Leave --json out.' : `${instead}, or leave --json out.`,
  });
}

// Asks the process of a tunnel for other rules about its visitors' addresses.

import {TunlError} from '../core/errors.js';
import {stateDir} from '../core/state-dir.js';
import {Roster} from '../launch/roster.js';
import type {AccessEvent} from './running-events.js';
import type {Found} from './share.js';

/** The rules go to the relay at once; the process may be busy. */
const ANSWER_MS = 5_000;

interface AccessFlags {
  'cidr-allow': readonly string[] | undefined;
  'cidr-deny': readonly string[] | undefined;
  everywhere: boolean | undefined;
}

/**
 * The new rules replace all earlier ones.
 *
 * @throws TunlError USAGE, OPTION_INVALID, RELAY_LACKS_FEATURE, BACKGROUND_SILENT
 */
export async function changeAccess(
  {entry, tunnel}: Found,
  {'cidr-allow': allow = [], 'cidr-deny': deny = [], everywhere}: AccessFlags,
): Promise<AccessEvent> {
  const hasRules = allow.length > 0 || deny.length > 0;
  if (hasRules === Boolean(everywhere)) {
    throw new TunlError('USAGE', {
      reason: everywhere ? '--everywhere takes all rules away.' : 'There are no new rules.',
      next: 'Give --cidr-allow or --cidr-deny with a range, or --everywhere alone.',
    });
  }
  const request = {do: 'access', tunnel, allow, deny} as const;
  const answer = await new Roster(stateDir()).ask(entry, request, ANSWER_MS);
  if (answer?.tunnel !== tunnel) throw new TunlError('BACKGROUND_SILENT');
  return {type: 'access', id: entry.id, tunnel, allow: [...allow], deny: [...deny]};
}

// Reads hosts and ports from the user.

export {checkHost, checkPort, type HostPort, isLoopbackHost, parseTarget} from '../protocol/targets.js';

import {checkLabel, lowerCaseLabel} from '../protocol/names.js';

/** Whether relays reserve the name. */
export function isReservedName(name: string): boolean {
  const check = checkLabel(lowerCaseLabel(name));
  return !check.ok && check.code === 'NAME_RESERVED';
}

// Reads hosts and ports that a person gives to the agent.

export {checkHost, checkPort, type HostPort, isLoopbackHost, parseTarget} from '../protocol/targets.js';

import {checkLabel} from '../protocol/names.js';

/** Whether it is a name that relays keep for themselves. */
export function isReservedName(name: string): boolean {
  const check = checkLabel(name);
  return !check.ok && check.code === 'NAME_RESERVED';
}

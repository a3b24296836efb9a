// What a person may write for hosts and ports: the agent's door to the reader of targets.

export {checkHost, checkPort, type HostPort, isLoopbackHost, parseTarget} from '../protocol/targets.js';

import {checkLabel} from '../protocol/names.js';

/** Whether it is a name that relays keep for themselves. */
export function isReservedName(name: string): boolean {
  const check = checkLabel(name);
  return !check.ok && check.code === 'NAME_RESERVED';
}

// The Host header that the metrics listener answers. A page of another site can let a browser connect to this listener under a
// name of its own (DNS rebinding), and would read the answers. It cannot do so with an address, or with a name of this listener.

import {isIP} from 'node:net';
import {isLocalhostName} from '../../core/localhost.js';

/** @param names further names under which the listener may be asked. */
export function isOwnHost(header: string | undefined, names: readonly string[]): boolean {
  const match = /^(\[[0-9a-f:.]+\]|[^:@/\\\s]+)(?::\d{1,5})?$/i.exec(header ?? '');
  const host = match?.[1]?.toLowerCase().replace(/\.$/, '');
  if (host === undefined) return false;
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  return isIP(bare) !== 0 || isLocalhostName(host) || names.some((name) => name.toLowerCase() === host);
}

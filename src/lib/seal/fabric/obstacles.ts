// Why this machine cannot join members of a cluster, and the command that mends it.

import {holderObstacle, NO_RULES as NO_SEAL_RULES, namespaceObstacle, type Obstacle} from '../obstacles.js';
import {NO_IPV6, NO_LINK, NO_LISTENERS, NO_MOUNT, NO_RULES} from './holder.js';

/** @param code of the holder's answer or exit. @param stderr what it said. */
export function fabricObstacle(code: number | null, stderr: string): Obstacle {
  const said = stderr.trim().split('\n')[0]?.slice(0, 200) ?? '';
  const detail = said === '' ? '' : ` (${said})`;
  switch (code) {
    case NO_IPV6:
      return {
        why: 'This kernel has no IPv6, which the addresses of members need.',
        mend: 'Boot without ipv6.disable=1.',
      };
    case NO_LINK:
      return /unknown device type|not supported/i.test(said)
        ? {why: `This kernel has no veth devices${detail}.`, mend: 'sudo modprobe veth'}
        : {why: `The devices of members could not be made${detail}.`, mend: 'Read the reason.'};
    case NO_MOUNT:
      return {
        why: `The files of members could not be mounted${detail}.`,
        mend: 'In a container: one with --privileged.',
      };
    case NO_RULES:
      return holderObstacle(NO_SEAL_RULES, stderr);
    case NO_LISTENERS:
      return holderObstacle(NO_LISTENERS, stderr);
  }
  if (/mount.*\/?proc/i.test(said))
    return {
      why: `A /proc for the members could not be mounted${detail}.`,
      mend: 'In a container: one with --security-opt systempaths=unconfined (Podman: --security-opt unmask=ALL).',
    };
  return namespaceObstacle(stderr);
}

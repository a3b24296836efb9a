// Which control groups this machine offers to this user.

import type {Finding} from '../backend.js';
import {findV1} from './cgroup-v1.js';
import {findV2} from './cgroup-v2.js';
import {GROUP_LIMITS, type GroupLimit, type GroupMaker} from './control-group.js';
import {readMounted} from './mounted.js';
import {findSystemd} from './systemd-scope.js';

const WORDS: Readonly<Record<GroupLimit, string>> = {
  memoryBytes: 'memory',
  cpus: 'processors',
  pids: 'processes',
};

/**
 * Where systemd runs, it owns the tree. Without it, groups are made in the tree by hand: in version 2 where it has the
 * controllers, else in version 1.
 */
export async function findGroups(): Promise<GroupMaker> {
  const mounted = await readMounted();
  return (
    (await findSystemd(mounted)) ??
    (await findV2(mounted)) ??
    (await findV1(mounted)) ??
    noGroups(mounted.v1.has('memory'))
  );
}

function noGroups(isOld: boolean): GroupMaker {
  const finding = (limit: GroupLimit): Finding => ({
    what: `limit of ${WORDS[limit]}`,
    reality: 'none',
    why: isOld
      ? 'The control groups of this machine are of version 1, which belong to root.'
      : 'No control group with this controller is delegated to this user.',
    mend: isOld
      ? 'Run tunl as root, or start the machine with systemd.unified_cgroup_hierarchy=1.'
      : 'Run tunl as root, or in a login of systemd with delegated control groups (`systemd-run --user --scope true` has to succeed).',
  });
  return {
    findings: Object.fromEntries(GROUP_LIMITS.map((limit) => [limit, finding(limit)])) as Record<
      GroupLimit,
      Finding
    >,
    make: () => Promise.resolve(undefined),
    tidy: () => Promise.resolve(),
    sweep: () => Promise.resolve(),
  };
}

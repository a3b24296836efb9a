// Which limits an engine really holds on this machine.

import type {BackendReport, Finding} from '../backend.js';
import type {EngineFacts} from './facts.js';

type LimitFindings = BackendReport['limits'];

const NAMES = {memoryBytes: 'memory', cpus: 'CPU time', pids: 'processes'} as const;

export function limitFindings(facts: EngineFacts): LimitFindings {
  return {
    memoryBytes: byGroup(facts, 'memoryBytes'),
    cpus: byGroup(facts, 'cpus'),
    pids: byGroup(facts, 'pids'),
    diskBytes: {what: 'memory file system of this size; all else is read-only', reality: 'real'},
    openFiles: {what: 'resource limit of each process', reality: 'real'},
  };
}

function byGroup(facts: EngineFacts, name: keyof typeof NAMES): Finding {
  const what = `control group (${facts.cgroupVersion})`;
  if (facts.holds[name]) return {what, reality: 'real'};
  const [why, mend] = reasonOf(facts, NAMES[name]);
  return {what, reality: 'none', why, mend};
}

function reasonOf({kind, isRootless, cgroupVersion}: EngineFacts, name: string): [string, string] {
  if (isRootless && cgroupVersion === 'v1')
    return [
      `This ${kind} runs as an ordinary user on control groups of version 1, where it cannot limit ${name}.`,
      `Run ${kind} as root, or boot with systemd.unified_cgroup_hierarchy=1.`,
    ];
  if (isRootless)
    return [
      `The controller for ${name} is not delegated to this user.`,
      'printf "[Service]\\nDelegate=cpu cpuset io memory pids\\n" | sudo SYSTEMD_EDITOR=tee systemctl edit user@.service, then log in again',
    ];
  return [
    `The kernel has no controller for ${name}.`,
    'Enable it in the kernel’s command line, and restart.',
  ];
}

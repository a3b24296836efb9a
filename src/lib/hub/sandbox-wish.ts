// The sandbox that a template asks for.

import type {SandboxWish} from './sandboxes.js';
import type {ProgramSite, Template} from './template.js';

/** The home of every session, inside. */
export const HOME = '/home/user';

interface OneSession extends Pick<SandboxWish, 'id' | 'label' | 'hostUid'> {
  readonly site: ProgramSite;
  /** The folder of its files on this machine. */
  readonly home: string | undefined;
}

export function sandboxWish(template: Template, {id, label, hostUid, site, home}: OneSession): SandboxWish {
  const {program, backend, image, runtime, limits, bestEffort, egress, mounts, timeoutMs, port} = template;
  const {command, env} = program.plan(site);
  return {
    id,
    command,
    env: {...template.env, ...env},
    port,
    label,
    backend,
    image,
    runtime,
    limits,
    bestEffort,
    egress,
    mounts: [
      ...(program.mounts ?? []),
      ...mounts,
      ...(home === undefined ? [] : [{source: home, target: HOME, readOnly: false}]),
    ],
    workdir: HOME,
    timeoutMs,
    hostUid,
  };
}

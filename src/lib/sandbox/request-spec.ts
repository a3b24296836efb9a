// The input of a backend, made from what a caller asked for.

import type {SandboxRequest} from './options.js';
import type {SandboxPorts} from './ports.js';
import type {OwnSandbox} from './roster.js';
import type {SandboxSpec} from './spec.js';

/** The label of containers, by which leftovers are found. */
export const SANDBOX_LABEL = 'tunl.sandbox';

/** Waits for the first address if the command contains it. @throws TunlError the reason why there is none */
export async function specOf(
  request: SandboxRequest,
  own: Pick<OwnSandbox, 'id' | 'workFolder'>,
  ports: SandboxPorts,
): Promise<SandboxSpec> {
  const {settings, limits, mounts, hostUid} = request;
  const {workdir, bestEffort, egress, image, runtime} = settings;
  const side = request.placeholders ? await ports.firstSide() : undefined;
  const fill = (text: string) =>
    side === undefined ? text : text.replaceAll('{url}', side.url).replaceAll('{host}', side.host);
  const env = Object.entries(request.env).map(([name, value]) => [name, fill(value)]);
  return {
    id: own.id,
    command: request.command.map(fill),
    env: Object.fromEntries(env),
    workdir,
    mounts,
    limits,
    bestEffort,
    egress,
    image,
    runtime,
    folder: own.workFolder,
    labels: {[SANDBOX_LABEL]: own.id},
    ...(hostUid !== undefined && {hostUid}),
  };
}

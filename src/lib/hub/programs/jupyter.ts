// JupyterLab in a session. Arguments and environment are those of `tunl jupyter`.

import {jupyter as localJupyter} from '../../launch/programs/jupyter.js';
import type {Program, ProgramSite} from '../template.js';
import {inSandbox} from './local-program.js';

export interface JupyterOptions {
  /** The path inside. Default: `jupyter-lab`, from the PATH. */
  readonly bin?: string | undefined;
  readonly args?: readonly string[] | undefined;
}

export function jupyterProgram({bin = 'jupyter-lab', args = []}: JupyterOptions = {}): Program {
  const program = ({secret, home}: ProgramSite) => localJupyter({token: secret, dir: home, args});
  return {
    title: 'JupyterLab',
    plan: (site) => inSandbox(program(site), {bin, kind: 'lab', site}),
    ready: {path: '/api', accept: (status) => status === 200},
    address: ({url, secret}) => `${url}/lab?token=${encodeURIComponent(secret)}`,
    login: 'in-address',
    activity: {
      path: '/api/kernels',
      headers: (secret) => ({authorization: `token ${secret}`}),
      read: readKernels,
    },
  };
}

/**
 * A question about kernels is itself no activity of the server. A kernel that works is busy now; otherwise its last message
 * counts, which a cell or its output has caused.
 */
function readKernels(status: number, body: string): {at: number; busy: boolean; detail: string} | undefined {
  if (status !== 200) return undefined;
  let kernels: unknown;
  try {
    kernels = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (!Array.isArray(kernels)) return undefined;
  const seen = kernels.flatMap((each: unknown) => {
    if (typeof each !== 'object' || each === null) return [];
    const {last_activity: last, execution_state: state} = each as Record<string, unknown>;
    const at = typeof last === 'string' ? Date.parse(last) : Number.NaN;
    return [{at: Number.isFinite(at) ? at : 0, busy: state === 'busy'}];
  });
  const at = Math.max(0, ...seen.map((each) => each.at));
  const busy = seen.some((each) => each.busy);
  return {at, busy, detail: busy ? 'kernel busy' : 'kernel'};
}

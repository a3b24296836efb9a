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
      // The listing has the times of files that were saved.
      paths: ['/api/kernels', '/api/terminals', '/api/contents?content=1'],
      headers: (secret) => ({authorization: `token ${secret}`}),
      knowsAll: true,
      read: readActivity,
    },
  };
}

/**
 * The questions are themselves no activity of the server. A kernel that works is busy now. Otherwise its last message counts,
 * which a cell or its output has caused; so do the last output of a terminal, and the last change of a file.
 */
function readActivity(status: number, body: string): {at: number; busy: boolean; detail: string} | undefined {
  if (status !== 200) return undefined;
  try {
    const answer = JSON.parse(body) as unknown;
    if (Array.isArray(answer)) return newestOf(answer.map(readOne));
    const {content} = answer as {content?: unknown};
    return Array.isArray(content) ? newestOf(content.map(readOne)) : undefined;
  } catch {
    return undefined;
  }
}

interface Seen {
  readonly at: number;
  readonly busy: boolean;
  readonly detail: string;
}

/** A kernel, a terminal or a file. */
function readOne(each: unknown): Seen {
  const {last_activity, last_modified, execution_state} = (each ?? {}) as Readonly<Record<string, unknown>>;
  const time = last_activity ?? last_modified;
  const at = typeof time === 'string' ? Date.parse(time) : Number.NaN;
  const busy = execution_state === 'busy';
  const kind = last_modified !== undefined ? 'file' : execution_state !== undefined ? 'kernel' : 'terminal';
  return {at: Number.isFinite(at) ? at : 0, busy, detail: busy ? 'kernel busy' : kind};
}

function newestOf(all: readonly Seen[]): Seen | undefined {
  return [...all].sort((a, b) => Number(b.busy) - Number(a.busy) || b.at - a.at)[0];
}

// VS Code in a session, by code-server. It makes its own configuration file, and takes the password from the environment.

import {codeServer as localCodeServer} from '../../launch/programs/code-server.js';
import type {Program} from '../template.js';
import {inSandbox} from './local-program.js';

export interface CodeServerOptions {
  /** The path inside. Default: `code-server`, from the PATH. */
  readonly bin?: string | undefined;
  readonly args?: readonly string[] | undefined;
}

export function codeServerProgram({bin = 'code-server', args = []}: CodeServerOptions = {}): Program {
  return {
    title: 'VS Code',
    plan: (site) =>
      inSandbox(localCodeServer({password: site.secret, dir: site.home, args}), {
        bin,
        kind: 'code-server',
        site,
      }),
    ready: {path: '/healthz', accept: (status) => status === 200},
    address: ({url}) => url,
    login: 'password',
    activity: {path: '/healthz', headers: () => ({}), read: readHealth},
  };
}

/** `alive` means that an editor had a heartbeat within the last minute, so an open page counts as long as it is in use. */
function readHealth(status: number, body: string): {at: number; busy: boolean; detail: string} | undefined {
  if (status !== 200) return undefined;
  try {
    const {lastHeartbeat} = JSON.parse(body) as {lastHeartbeat?: unknown};
    const at = typeof lastHeartbeat === 'number' ? lastHeartbeat : 0;
    return {at, busy: false, detail: 'editor'};
  } catch {
    return undefined;
  }
}

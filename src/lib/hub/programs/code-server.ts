// VS Code in a session, by code-server. It makes its own configuration file, and takes the password from the environment. Its
// heartbeat goes on as long as a page is open, so only the bytes of visitors tell whether somebody works.

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
  };
}

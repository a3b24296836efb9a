// tunl's own web terminal in a session: the same process as that of `tunl terminal`, with this package mounted read-only.

import {existsSync} from 'node:fs';
import {basename, dirname, join, relative} from 'node:path';
import {fileURLToPath} from 'node:url';
import {packageRoot} from '../../core/package-root.js';
import {basic} from '../../launch/password-check.js';
import {ownTerminal, startOwnTerminal} from '../../launch/web-terminal/plan.js';
import type {SandboxMount} from '../../sandbox/spec.js';
import type {Program, ProgramSite} from '../template.js';

const USER = 'tunl';
/** Where the package is inside. Backends put the host's Node in /opt/tunl. */
const INSIDE = '/opt/tunl-terminal';
const NODE = '/opt/tunl/bin/node';

export interface TerminalOptions {
  /** Default: the shell bash, as a login shell. */
  readonly command?: readonly string[] | undefined;
}

export function terminalProgram({command = ['/bin/bash', '-l']}: TerminalOptions = {}): Program {
  const {mount, file} = placeOf(fileURLToPath(packageRoot), ownTerminal.lead?.[0] ?? '');
  return {
    title: 'Terminal',
    mounts: [mount],
    plan: ({port, secret}: ProgramSite) => {
      const {args, env = {}} = startOwnTerminal({
        port,
        user: USER,
        password: secret,
        readOnly: false,
        argv: command,
      });
      const set = Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined);
      return {command: [NODE, file, ...args], env: Object.fromEntries(set)};
    },
    ready: {
      path: '/',
      headers: (secret) => ({authorization: basic(USER, secret)}),
      accept: (status) => status === 200,
    },
    address: ({url}) => url,
    user: USER,
    login: 'password',
  };
}

/** Where npm keeps packages side by side, those that the terminal needs are beside this one, else below it. */
function placeOf(root: string, file: string): {mount: SandboxMount; file: string} {
  const own = root.replace(/\/$/, '');
  const isAlone = existsSync(join(own, 'node_modules', 'ws'));
  const source = isAlone ? own : dirname(own);
  const target = isAlone ? `${INSIDE}/tunl` : `${INSIDE}/node_modules`;
  const inside = isAlone ? target : join(target, basename(own));
  return {mount: {source, target, readOnly: true}, file: join(inside, relative(own, file))};
}

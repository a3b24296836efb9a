// The command with which tunl starts its own web terminal: this Node with the file of that process.
import {fileURLToPath} from 'node:url';
import {packageRoot} from '../../core/package-root.js';
import type {Candidate, StartPlan} from '../program.js';

/** Only the same user can read the environment of a process; everybody can read its arguments. */
export const PASSWORD_VARIABLE = 'TUNL_TERMINAL_PASSWORD';

export const ownTerminal: Candidate = {
  bin: process.execPath,
  lead: [fileURLToPath(new URL('dist/lib/launch/web-terminal/main.js', packageRoot))],
  kind: 'own',
};

export interface OwnTerminal {
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly readOnly: boolean;
  readonly argv: readonly string[];
}

export function startOwnTerminal({port, user, password, readOnly, argv}: OwnTerminal): StartPlan {
  return {
    args: ['--port', String(port), '--user', user, ...(readOnly ? ['--read-only'] : []), '--', ...argv],
    env: {[PASSWORD_VARIABLE]: password},
  };
}

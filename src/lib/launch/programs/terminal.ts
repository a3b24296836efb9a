// A shell in the browser behind a password: tunl's own web terminal, or gotty or ttyd if `--bin` names one.
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {TunlError} from '../../core/errors.js';
import {urlOf} from '../address.js';
import {which} from '../find.js';
import {basic} from '../password-check.js';
import {openGate} from '../password-gate.js';
import type {FreeProgram, OldestVersion, Site, StartPlan} from '../program.js';
import {ownTerminal, startOwnTerminal} from '../web-terminal/plan.js';

export interface TerminalOptions {
  readonly password: string;
  /** Default: the user's shell. */
  readonly argv?: readonly string[];
  /** Visitors see the shell and cannot type. Default: false. */
  readonly readOnly?: boolean;
}

const USER = 'tunl';

const OLDEST: Readonly<Record<string, OldestVersion>> = {
  gotty: {version: '1.0.0', args: ['--version']},
  // Before 1.7.4 ttyd has no --writable: visitors could always type.
  ttyd: {version: '1.7.4', args: ['--version']},
};

export function terminal(options: TerminalOptions): FreeProgram {
  const {password} = options;
  return {
    name: 'terminal',
    title: 'The web terminal',
    candidates: () => [ownTerminal],
    named: (bin) => ({bin, kind: bin.includes('ttyd') ? 'ttyd' : 'gotty'}),
    install: 'Leave --bin out, or give the path of gotty or ttyd with it.',
    oldest: ({kind}) => OLDEST[kind],
    prepare: async (site) => {
      await checkCommand(options.argv?.[0], site);
      if (site.found.kind === 'own') {
        // Here its absence gives a clear error; the process that needs it could only crash.
        (await import('../web-terminal/pty.js')).loadPty();
        return undefined;
      }
      // ttyd takes a password only in its arguments, so tunl checks the password itself.
      if (site.found.kind === 'ttyd') {
        const {port} = site;
        return openGate({port, socketPath: socketOf(site), user: USER, password, realm: 'terminal'});
      }
      // The user's own ~/.gotty may set TLS or another port.
      await writeFile(configOf(site), '');
      return undefined;
    },
    start: (site) => {
      if (site.found.kind === 'ttyd') return startTtyd(site, options);
      if (site.found.kind === 'gotty') return startGotty(site, options);
      const {readOnly = false} = options;
      return startOwnTerminal({port: site.port, user: USER, password, readOnly, argv: argvOf(site, options)});
    },
    ready: () => ({
      kind: 'http',
      path: '/',
      headers: {authorization: basic(USER, password)},
      accept: (status) => status === 200,
    }),
    readyTimeoutMs: 15_000,
    // After SIGTERM gotty waits for its last visitor; a shell has nothing to save that would justify the wait.
    graceMs: 1_000,
    address: (site) => urlOf(site.public),
    login: () => [
      {name: 'user', label: 'user', value: USER, secret: false},
      {name: 'password', label: 'password', value: password, secret: true},
    ],
    secrets: [password, basic(USER, password).slice('Basic '.length)],
  };
}

/** Without this check only the first visitor would notice. */
async function checkCommand(bin: string | undefined, site: Site): Promise<void> {
  if (bin === undefined || (await which(bin, site.env)) !== undefined) return;
  throw new TunlError('PROGRAM_MISSING', {
    reason: `${bin || 'A command without a name'} was not found.`,
    next: 'Check the spelling of the command after `--`, or install it.',
  });
}

const configOf = (site: Site) => join(site.folder, 'gotty');
const socketOf = (site: Site) => join(site.folder, 'ttyd.sock');

function startGotty(site: Site, options: TerminalOptions): StartPlan {
  const inherited = Object.keys(site.env).filter((name) => name.startsWith('GOTTY_'));
  return {
    args: [
      ...['--address', '127.0.0.1', '--port', String(site.port), '--close-signal', '1'],
      ...(options.readOnly ? [] : ['--permit-write']),
      // The password is in gotty's environment, which the shell would inherit.
      ...['env', '-u', 'GOTTY_CREDENTIAL', '-u', 'GOTTY_CONFIG', ...argvOf(site, options)],
    ],
    env: {
      ...Object.fromEntries(inherited.map((name) => [name, undefined])),
      GOTTY_CREDENTIAL: `${USER}:${options.password}`,
      GOTTY_CONFIG: configOf(site),
    },
  };
}

function startTtyd(site: Site, options: TerminalOptions): StartPlan {
  const writable = options.readOnly ? [] : ['--writable'];
  return {args: ['--interface', socketOf(site), ...writable, '--check-origin', ...argvOf(site, options)]};
}

function argvOf(site: Site, options: TerminalOptions): readonly string[] {
  return options.argv?.length ? options.argv : [site.env.SHELL ?? '/bin/sh', '-l'];
}

// VS Code in the browser: code-server, or openvscode-server or `code serve-web`, whichever is installed.
import {writeFile} from 'node:fs/promises';
import {join, resolve} from 'node:path';
import {homeOrRoot} from '../../core/home.js';
import {urlOf} from '../address.js';
import type {Candidate, FreeProgram, Site} from '../program.js';
import {projectBins} from '../project-bins.js';

export interface CodeServerOptions {
  /** For openvscode-server and `code serve-web`, which take a token in the address: letters, digits, - and _ only. */
  readonly password: string;
  /** The folder to open. Default: the current one. */
  readonly dir?: string;
  /** Arguments for the program itself, after tunl's own. */
  readonly args?: readonly string[];
}

export function codeServer(options: CodeServerOptions): FreeProgram {
  const dir = resolve(options.dir ?? '.');
  const {password} = options;
  return {
    name: 'code-server',
    title: 'code-server',
    candidates,
    named: (bin) => ({bin, ...kindOf(bin)}),
    install:
      'Install code-server (`npm install -g code-server`, or your system’s package), or give its path with --bin.',
    prepare: async (site) => {
      // An empty configuration: the user's own may set TLS, another port or another password.
      await writeFile(configFile(site), '{}\n', {mode: 0o600});
      await writeFile(tokenFile(site), password, {mode: 0o600});
      return undefined;
    },
    start: (site) => ({
      args: [...serverArguments(site, dir), ...(options.args ?? [])],
      cwd: dir,
      env: {
        PASSWORD: site.found.kind === 'code-server' ? password : undefined,
        HASHED_PASSWORD: undefined,
        // Each of these would make it listen elsewhere, open the folder in a surrounding window, or watch another process.
        PORT: undefined,
        CODE_SERVER_HOST: undefined,
        CODE_SERVER_CONFIG: undefined,
        VSCODE_IPC_HOOK_CLI: undefined,
        CODE_SERVER_PARENT_PID: undefined,
      },
    }),
    ready: (site) => ({
      kind: 'http',
      // /healthz answers 200 also when the page of a visitor is an error, such as with a Node that is too old for it.
      path: site.found.kind === 'code-server' ? '/' : '/version',
      accept: (status) => status >= 200 && status < 400,
    }),
    address: (site) =>
      `${urlOf(site.public)}${site.found.kind === 'code-server' ? '' : `/?tkn=${encodeURIComponent(password)}`}`,
    login: () => [{name: 'password', label: 'password', value: password, secret: true}],
    secrets: [password, encodeURIComponent(password)],
  };
}

const configFile = (site: Site) => join(site.folder, 'config.yaml');
const tokenFile = (site: Site) => join(site.folder, 'token');

function serverArguments(site: Site, dir: string): string[] {
  const place = ['--host', '127.0.0.1', '--port', String(site.port)];
  switch (site.found.kind) {
    case 'openvscode-server':
      return [
        ...place,
        '--connection-token-file',
        tokenFile(site),
        '--telemetry-level',
        'off',
        '--default-folder',
        dir,
      ];
    case 'code':
      return [...place, '--connection-token-file', tokenFile(site), '--accept-server-license-terms'];
    default:
      return [
        '--bind-addr',
        `127.0.0.1:${site.port}`,
        '--auth',
        'password',
        '--config',
        configFile(site),
        '--disable-telemetry',
        '--disable-update-check',
        '--disable-proxy',
        dir,
      ];
  }
}

function kindOf(bin: string): {kind: string; lead?: readonly string[]} {
  if (/openvscode-server[^/]*$/.test(bin)) return {kind: 'openvscode-server'};
  if (/(^|\/)code(-insiders)?$/.test(bin)) return {kind: 'code', lead: ['serve-web']};
  return {kind: 'code-server'};
}

function candidates(): Candidate[] {
  const bins = [
    'code-server',
    join(homeOrRoot(), '.local/bin/code-server'),
    '/usr/lib/code-server/bin/code-server',
    ...projectBins('code-server', process.cwd()),
    'openvscode-server',
    '/opt/openvscode-server/bin/openvscode-server',
    'code',
  ];
  return bins.map((bin) => ({bin, ...kindOf(bin)}));
}

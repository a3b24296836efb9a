// JupyterLab, or Notebook without JupyterLab: bound to loopback, host checks on, the token only in the environment.
import {realpathSync} from 'node:fs';
import {basename, dirname, join, resolve} from 'node:path';
import {urlOf} from '../address.js';
import type {Candidate, Found, NamedProgram, NamedSite, Site} from '../program.js';

export interface JupyterOptions {
  /** The token for visitors. With `false` everybody who has the address gets in. */
  readonly token: string | false;
  /** The folder to show. Default: the current one. */
  readonly dir?: string;
  /** Arguments for Jupyter itself, after tunl's own. */
  readonly args?: readonly string[];
}

const HAS_MODULE = (module: string) => [
  '-c',
  `import importlib.util, sys; sys.exit(importlib.util.find_spec("${module}") is None)`,
];

export function jupyter(options: JupyterOptions): NamedProgram {
  const dir = resolve(options.dir ?? '.');
  return {
    name: 'jupyter',
    title: 'Jupyter',
    candidates,
    named,
    install: 'Install it with `pip install -U jupyterlab`, or give its path with --bin.',
    oldest,
    // Jupyter checks the host name, so the public name must be in its list.
    needsName: true,
    start: (site) => ({
      args: [...serverArguments(site, dir, options.token === false), ...(options.args ?? [])],
      cwd: dir,
      env: {
        JUPYTER_TOKEN: options.token === false ? undefined : options.token,
        // Jupyter does not strip the line end of this file, and would then refuse every request.
        JUPYTER_TOKEN_FILE: undefined,
        // Holds the token and the kernels' keys while it runs; removed with the run folder in any case.
        JUPYTER_RUNTIME_DIR: join(site.folder, 'jupyter'),
      },
    }),
    // This path needs no token.
    ready: () => ({kind: 'http', path: '/api', accept: (status) => status === 200}),
    // The user's own configuration comes after the environment: with an empty token there, everybody would get in.
    ...(options.token !== false && {
      guard: {
        path: '/api/status',
        next: 'Remove `IdentityProvider.token` and the like from Jupyter’s own configuration (`jupyter --paths` shows where it is), or say --no-token.',
      },
    }),
    address: (site) =>
      `${urlOf(site.public)}${path(site)}${options.token === false ? '' : `?token=${encodeURIComponent(options.token)}`}`,
    login: () =>
      options.token === false ? [] : [{name: 'token', label: 'token', value: options.token, secret: true}],
    secrets: options.token === false ? [] : [options.token, encodeURIComponent(options.token)],
  };
}

const path = (site: Site) => (site.found.kind === 'notebook' ? '/tree' : '/lab');

function serverArguments(site: NamedSite, dir: string, open: boolean): string[] {
  const server = {
    ip: '127.0.0.1',
    port: String(site.port),
    port_retries: '0',
    root_dir: dir,
    custom_display_url: `${urlOf(site.public)}/`,
  };
  return [
    '--no-browser',
    ...Object.entries(server).map(([name, value]) => `--ServerApp.${name}=${value}`),
    // The public name beside localhost: the check against DNS rebinding stays on. With allow_remote_access it would be off.
    '--ServerApp.local_hostnames=localhost',
    `--ServerApp.local_hostnames=${site.public.name ?? site.public.host}`,
    '--IdentityProvider.secure_cookie=True',
    ...(open ? ['--IdentityProvider.token='] : []),
    ...(site.uid === 0 ? ['--allow-root'] : []),
  ];
}

/** JupyterLab before Notebook; an active environment before PATH; `python -m` when the scripts are not in PATH. */
function candidates(env: Readonly<NodeJS.ProcessEnv>): Candidate[] {
  const environments = [env.VIRTUAL_ENV, env.CONDA_PREFIX].filter(
    (folder) => folder !== undefined && folder !== '',
  );
  const bins = environments.map((folder) => join(folder as string, 'bin'));
  const ways = (kind: 'lab' | 'notebook', module: string): Candidate[] => [
    ...bins.map((bin) => ({bin: join(bin, `jupyter-${kind}`), kind})),
    {bin: `jupyter-${kind}`, kind},
    // Tools that install applications separately put only `jupyter` in PATH, which knows where its parts are.
    {bin: 'jupyter', lead: [kind], check: [kind, '--version'], kind},
    ...[...bins.map((bin) => join(bin, 'python')), 'python3', 'python'].map((bin) => ({
      bin,
      lead: ['-m', module],
      check: HAS_MODULE(module),
      kind,
    })),
  ];
  return [...ways('lab', 'jupyterlab'), ...ways('notebook', 'notebook')];
}

/**
 * jupyter_server 2 has identity and cookies at the settings used above. Its Python, which is beside the script,
 * prints the version in 0.1 s; the script itself imports modules for seconds first.
 */
function oldest({bin}: Found): {version: string; bin: string; args: string[]} {
  const python = /^python/.test(basename(bin)) ? bin : join(dirname(realpathSync(bin)), 'python3');
  const ask = 'from importlib.metadata import version; print(version("jupyter_server"))';
  return {version: '2.0', bin: python, args: ['-c', ask]};
}

/** `--bin` may be a Python, `jupyter`, `jupyter-lab` or `jupyter-notebook`. */
function named(bin: string): Candidate {
  const name = basename(bin);
  if (/^python/.test(name)) return {bin, lead: ['-m', 'jupyterlab'], kind: 'lab'};
  if (name === 'jupyter') return {bin, lead: ['lab'], kind: 'lab'};
  return {bin, kind: name.includes('notebook') ? 'notebook' : 'lab'};
}

// The programs that measure or are measured: from PATH or the cache, or built there from Go modules.

import {execFile, spawnSync} from 'node:child_process';
import {accessSync, constants, mkdirSync} from 'node:fs';
import {cpus, release, totalmem} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';

const exec = promisify(execFile);

export const projectRoot = fileURLToPath(new URL('../..', import.meta.url));

/** Results, and programs of peers that no package has. */
export const cacheFolder = join(projectRoot, '.cache/bench');

const binFolder = join(cacheFolder, 'bin');

/** What measurements need, as Debian packages. */
const required = {
  wrk: 'wrk',
  nginx: 'nginx-light',
  curl: 'curl',
  openssl: 'openssl',
  ip: 'iproute2',
  ss: 'iproute2',
  nft: 'nftables',
} as const;

export type Needed = keyof typeof required;

/** Peers that Go can build: module, and the programs' packages in it. */
const modules = new Map([
  ['frps', {module: 'github.com/fatedier/frp@v0.70.1', packages: ['./cmd/frps', './cmd/frpc']}],
  ['chisel', {module: 'github.com/jpillora/chisel@v1.11.3', packages: ['.']}],
]);

const buildTimeoutMs = 300_000;

export class Tools {
  readonly #found = new Map<string, string>();

  /** @param needed the programs without which nothing can be measured. Default: all that the loads use. */
  constructor(needed: readonly Needed[] = ['wrk', 'nginx', 'curl', 'openssl']) {
    const missing = needed.filter((name) => this.find(name) === undefined).map((name) => required[name]);
    if (missing.length === 0) return;
    throw new Error(
      `the bench needs programs that are not installed; as root: apt-get install ${[...new Set(missing)].join(' ')}`,
    );
  }

  /** The path of a program. Throws for one that is missing. */
  path(name: string): string {
    const found = this.find(name);
    if (found === undefined) throw new Error(`the program ${name} was not found`);
    return found;
  }

  find(name: string): string | undefined {
    const known = this.#found.get(name);
    if (known !== undefined) return known;
    const folders = [binFolder, ...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'];
    const found = folders
      .filter((folder) => folder !== '')
      .map((folder) => join(folder, name))
      .find(isExecutable);
    if (found !== undefined) this.#found.set(name, found);
    return found;
  }

  /** Builds with Go the missing programs that it can build. Returns the reason of a failure, or undefined. */
  async provide(names: readonly string[], signal: AbortSignal): Promise<string | undefined> {
    for (const name of names) {
      if (this.find(name) !== undefined) continue;
      const source = modules.get(name);
      const go = this.find('go');
      if (source === undefined) return `${name} is not installed`;
      if (go === undefined) return `${name} is not installed, and there is no Go to build it`;
      process.stderr.write(`building ${source.module}\n`);
      try {
        await build(go, source.module, source.packages, signal);
      } catch (error) {
        signal.throwIfAborted();
        return `${source.module} could not be built: ${String(error).split('\n').slice(0, 3).join(' ')}`;
      }
    }
    return undefined;
  }

  /** The first line that a program says about its version. */
  version(name: string, ...args: string[]): string | undefined {
    const path = this.find(name);
    if (path === undefined) return undefined;
    const {stdout, stderr} = spawnSync(path, args, {encoding: 'utf8', timeout: 10_000});
    return `${stdout}${stderr}`.trim().split('\n')[0];
  }
}

/** Builds inside the module's own folder, because `go install` refuses a module with replacements. */
async function build(
  go: string,
  module: string,
  packages: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  mkdirSync(binFolder, {recursive: true});
  const options = {signal, timeout: buildTimeoutMs, cwd: cacheFolder};
  const {stdout} = await exec(go, ['mod', 'download', '-json', module], options);
  const {Dir, Version} = JSON.parse(stdout) as {Dir: string; Version: string};
  const flags = [
    '-tags',
    'noweb',
    '-ldflags',
    `-s -w -X github.com/jpillora/chisel/share.BuildVersion=${Version}`,
  ];
  await exec(go, ['build', ...flags, '-o', `${binFolder}/`, ...packages], {...options, cwd: Dir});
}

/** The facts about the machine that a reader of the figures needs. */
export function describeMachine(tools: Tools): Record<string, string | number> {
  const versions = {
    nginx: tools.version('nginx', '-v')?.replace('nginx version: ', ''),
    wrk: tools.version('wrk', '-v')?.replace(/ \[.*/, ''),
    curl: tools.version('curl', '--version')?.split(' (')[0],
    ssh: tools.version('ssh', '-V')?.split(',')[0],
    frp: tools.version('frps', '--version'),
    chisel: tools.version('chisel', '--version'),
  };
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 1e9),
    kernel: release(),
    node: process.version,
    ...Object.fromEntries(Object.entries(versions).filter(([, version]) => version !== undefined)),
  };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

// The programs that measure or are measured: from PATH or the cache, or built there from Go modules and crates.

import {execFile, spawnSync} from 'node:child_process';
import {mkdirSync} from 'node:fs';
import {cpus, release, totalmem} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {isExecutable} from '../../src/lib/core/executable.js';

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

/**
 * Peers that Cargo can build. rathole is built without the lock file of its crate, whose old packages do not compile with a
 * current Rust, and with its Noise transport alone: the others need OpenSSL's headers.
 */
const crates = new Map<string, {crate: string; words: readonly string[]}>([
  ['bore', {crate: 'bore-cli@0.6.0', words: ['--locked']}],
  [
    'rathole',
    {crate: 'rathole@0.5.0', words: ['--no-default-features', '--features', 'server,client,noise']},
  ],
]);

/** Rust takes minutes on two slow cores. */
const buildTimeoutMs = 900_000;

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

  /** Builds the missing programs that it can build. Returns the reason of a failure, or undefined. */
  async provide(names: readonly string[], signal: AbortSignal): Promise<string | undefined> {
    for (const name of names) {
      if (this.find(name) !== undefined) continue;
      const failure = await this.#build(name, signal);
      if (failure !== undefined) return failure;
    }
    return undefined;
  }

  async #build(name: string, signal: AbortSignal): Promise<string | undefined> {
    const [module, crate] = [modules.get(name), crates.get(name)];
    const what = module?.module ?? crate?.crate;
    if (what === undefined) return `${name} is not installed`;
    const [tool, language] = module === undefined ? ['cargo', 'Rust'] : ['go', 'Go'];
    const builder = this.find(tool);
    if (builder === undefined) return `${name} is not installed, and there is no ${language} to build it`;
    process.stderr.write(`building ${what}\n`);
    try {
      if (module !== undefined) await buildModule(builder, module.module, module.packages, signal);
      if (crate !== undefined) await buildCrate(builder, crate.crate, crate.words, signal);
    } catch (error) {
      signal.throwIfAborted();
      return `${what} could not be built: ${String(error).split('\n').slice(0, 3).join(' ')}`;
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
async function buildModule(
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

async function buildCrate(
  cargo: string,
  crate: string,
  words: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  mkdirSync(binFolder, {recursive: true});
  const env = {...process.env, CARGO_TARGET_DIR: join(cacheFolder, 'cargo')};
  const options = {signal, timeout: buildTimeoutMs, cwd: cacheFolder, env, maxBuffer: 2 ** 24};
  // Its programs arrive in the folder `bin` below the root.
  await exec(cargo, ['install', '--quiet', '--force', '--root', cacheFolder, ...words, crate], options);
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
    bore: tools.version('bore', '--version')?.replace('bore-cli ', ''),
    rathole: tools.version('rathole', '--help')?.replace('rathole ', ''),
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

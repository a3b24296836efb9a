// Starts real and fake programs with the launcher: a state folder, a public address, and everything ends with the scope.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {readdirSync, readFileSync} from 'node:fs';
import {mkdir, rm, writeFile} from 'node:fs/promises';
import {homedir} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {type LaunchOptions, launch} from '../../src/lib/launch/launch.js';
import type {Program, PublicSide} from '../../src/lib/launch/program.js';
import {command} from '../../src/lib/launch/programs/command.js';
import type {RunningProgram} from '../../src/lib/launch/running.js';
import type {Scope} from './scope.js';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** The programs of test/setup/programs.sh. A missing program fails its test; no test is skipped. */
export const installed = {
  jupyterLab: join(root, '.cache/jupyter/bin/jupyter-lab'),
  python: join(root, '.cache/jupyter/bin/python'),
  dask: join(root, '.cache/dask/bin'),
  codeServer: join(root, '.cache/code-server/node_modules/.bin/code-server'),
  gotty: join(root, '.cache/bin/gotty'),
};

export const publicSide: PublicSide = {
  host: 'name.r1.example.test',
  port: 443,
  url: 'https://name.r1.example.test',
};

/** An environment without the tester's settings; the Node that runs the tests is first in PATH. */
export function plainEnv(more: Record<string, string> = {}): Record<string, string> {
  const path = `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin`;
  return {PATH: path, HOME: homedir(), LANG: 'C.UTF-8', ...more};
}

/** Under the home folder: sshd trusts no keys below /tmp. */
export async function safeFolder(scope: Scope): Promise<string> {
  const folder = join(root, '.cache', 'test', `${process.pid}-${Math.random().toString(36).slice(2)}`);
  await mkdir(folder, {recursive: true, mode: 0o700});
  scope.onEnd(() => rm(folder, {recursive: true, force: true, maxRetries: 5}));
  return folder;
}

export async function launchIn(
  scope: Scope,
  program: Program,
  options: Partial<LaunchOptions> = {},
): Promise<RunningProgram> {
  const stateDir = options.stateDir ?? (await scope.tempDir('state'));
  return scope.own(await launch(program, {public: publicSide, env: plainEnv(), stateDir, ...options}));
}

export interface FakeOptions extends Partial<LaunchOptions> {
  args?: readonly string[];
  portGiven?: boolean;
  readyPath?: string;
}

/** A program of a few lines: `source` is the body of a Node module, `argv` its arguments. */
export async function launchFake(
  scope: Scope,
  source: string,
  options: FakeOptions = {},
): Promise<RunningProgram> {
  const {args = [], portGiven = options.port !== undefined, readyPath, ...rest} = options;
  const script = await fakeProgram(scope, source);
  const program = command({
    argv: [process.execPath, script, ...args],
    portGiven,
    ...(readyPath !== undefined && {readyPath}),
  });
  return launchIn(scope, {...program, title: 'fake'}, rest);
}

export async function fakeProgram(scope: Scope, source: string): Promise<string> {
  const script = join(await scope.tempDir('fake'), 'fake.mjs');
  await writeFile(
    script,
    `import {createServer} from 'node:http';
import {spawn} from 'node:child_process';
const argv = process.argv.slice(2);
const listen = (port, answer = (q, r) => r.end('ok')) =>
  new Promise((resolve) => { const s = createServer(answer).listen(port, '127.0.0.1', () => resolve(s.address().port)); });
${source}
`,
  );
  return script;
}

export const NOBODY = 65_534;

/** A process of that user that listens, with this in its environment; it belongs to no launch. */
export async function listener(
  scope: Scope,
  variable: string,
  uid: number,
  port = 0,
): Promise<{pid: number; port: number}> {
  const source = `const s = require('node:net').createServer();
s.listen(${port}, '127.0.0.1', () => console.log(s.address().port));`;
  const [name = '', value] = variable.split('=');
  const child = spawn(process.execPath, ['-e', source], {
    uid,
    gid: uid,
    detached: true,
    env: {[name]: value},
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  scope.onEnd(() => void child.kill('SIGKILL'));
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return {pid: child.pid ?? 0, port: Number(line.toString())};
}

/** Whether a process lives; a zombie does not. */
export function isAlive(pid: number): boolean {
  const stat = procFile(pid, 'stat');
  return stat !== '' && !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
}

export function commandLine(pid: number): string {
  return procFile(pid, 'cmdline');
}

/** Pids of living processes whose command line holds a text. */
export function withArgument(text: string): number[] {
  return pids().filter((pid) => commandLine(pid).includes(text) && isAlive(pid));
}

/** The mark in the environment of every process of a launch. */
export function markOf(pid: number): string {
  const mark = /TUNL_LAUNCH=[0-9a-f]{32}/.exec(procFile(pid, 'environ'))?.[0];
  if (mark === undefined) throw new Error(`process ${pid} has no mark`);
  return mark;
}

export function withMark(mark: string): number[] {
  return pids().filter((pid) => procFile(pid, 'environ').includes(mark) && isAlive(pid));
}

export function childrenOf(parent: number): number[] {
  return pids().filter((pid) => {
    const stat = procFile(pid, 'stat');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent && isAlive(pid);
  });
}

const pids = () =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);

function procFile(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'latin1');
  } catch {
    return '';
  }
}

/**
 * Resolves when a condition holds that no event reports, such as the end of another process. The time limit is not
 * under test: it only makes a clear message before the test's own time-out.
 */
export async function until(condition: () => boolean | Promise<boolean>, timeoutMs = 25_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

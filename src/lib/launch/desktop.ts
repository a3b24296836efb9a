// Uses the clipboard and the browser of the desktop, if there is one.

import {spawn} from 'node:child_process';
import {rmSync} from 'node:fs';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import {childEnv} from '../core/child-env.js';
import {openStateDir} from '../core/state-dir.js';
import {usableState} from '../core/usable-state.js';
import {which} from './find.js';
import {signalQuietly} from './processes.js';
import {randomSecret} from './secret.js';

type Tool = readonly [bin: string, ...args: string[]];
type Environment = Readonly<NodeJS.ProcessEnv>;

const CLIPBOARDS: readonly Tool[] = [
  ['pbcopy'],
  ['wl-copy'],
  ['xclip', '-selection', 'clipboard'],
  ['xsel', '--clipboard', '--input'],
  ['clip.exe'],
];

/** A clipboard tool ends within this time, or hangs on a desktop that does not answer, ms. */
const COPY_MS = 2_000;
/** A command that opens a browser fails within this time, or runs as the browser, ms. */
const OPEN_MS = 3_000;

/** How long a browser may take to read the page that redirects it, s. */
const PAGE_S = 30;

/** False when no tool took it. */
export async function copy(text: string, env: Environment = process.env): Promise<boolean> {
  for (const [bin, ...args] of CLIPBOARDS) {
    const path = await which(bin, env);
    if (path && (await handOver({bin: path, args, env, input: text, withinMs: COPY_MS})) === 'done')
      return true;
  }
  return false;
}

/**
 * Undefined when a browser was started, otherwise the reason of the failure. An address with a secret is passed in a private
 * file that redirects to it, because everybody on the machine can read command lines.
 *
 * @param stays true when this process lives until the browser has read that file; the file is removed at its end at the
 * latest.
 */
export async function openInBrowser(
  address: string,
  {stays, env = process.env}: {stays: boolean; env?: Environment},
): Promise<string | undefined> {
  // Without a desktop these commands would start a text browser without a terminal.
  if (!hasDesktop(env)) return 'there is no desktop here';
  const target = address.includes('?') ? await pageTo(address, stays) : address;
  // `open` is another program on Linux.
  const own = process.platform === 'darwin' ? ['open'] : ['wslview', 'xdg-open'];
  const tried: string[] = [];
  for (const bin of env.BROWSER ? [env.BROWSER, ...own] : own) {
    const path = await which(bin, env);
    if (!path) continue;
    tried.push(bin);
    if ((await handOver({bin: path, args: [target], env, withinMs: OPEN_MS})) !== 'failed') return undefined;
  }
  return tried.length === 0 ? `there is no ${own.at(-1)}` : `${tried.join(' and ')} failed`;
}

function hasDesktop(env: Environment): boolean {
  if (process.platform !== 'linux') return true;
  return [env.DISPLAY, env.WAYLAND_DISPLAY, env.WSL_DISTRO_NAME, env.BROWSER].some(Boolean);
}

/**
 * Starts a process that may live as long as the desktop: it holds the clipboard, or is the browser. It has a separate
 * session, so that Ctrl+C does not reach it, and no pipe, so that nothing waits for it.
 */
function handOver(tool: {
  bin: string;
  args: readonly string[];
  env: Environment;
  input?: string;
  withinMs: number;
}): Promise<'done' | 'failed' | 'running'> {
  return new Promise((resolve) => {
    const child = spawn(tool.bin, tool.args, {
      env: childEnv(tool.env),
      detached: true,
      stdio: [tool.input === undefined ? 'ignore' : 'pipe', 'ignore', 'ignore'],
    });
    const timer = setTimeout(() => {
      // After the failure was reported, the tool must not write to the clipboard any more.
      if (tool.input !== undefined) child.kill();
      resolve('running');
    }, tool.withinMs);
    const end = (how: 'done' | 'failed') => {
      clearTimeout(timer);
      resolve(how);
    };
    child.once('error', () => end('failed'));
    child.once('exit', (code) => end(code === 0 ? 'done' : 'failed'));
    child.stdin?.on('error', () => {});
    child.stdin?.end(tool.input);
    child.unref();
  });
}

async function pageTo(address: string, stays: boolean): Promise<string> {
  const folder = await openStateDir(usableState({mustWrite: true}).path);
  const path = join(folder, `open-${randomSecret()}.html`);
  const href = address.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
  await writeFile(path, `<!doctype html><meta http-equiv="refresh" content="0;url=${href}">`, {mode: 0o600});
  // This is a separate process, because tunl may be killed.
  const sweeper = spawn('/bin/sh', ['-c', 'sleep "$1"; rm -f -- "$2"', 'sh', String(PAGE_S), path], {
    env: childEnv(),
    detached: true,
    stdio: 'ignore',
  });
  sweeper.on('error', () => {});
  sweeper.unref();
  if (stays) {
    process.once('exit', () => {
      rmSync(path, {force: true});
      if (sweeper.pid !== undefined) signalQuietly(-sweeper.pid, 'SIGTERM');
    });
  }
  return pathToFileURL(path).href;
}

// The clipboard and the browser of the desktop that tunl runs on, where there is one.

import {spawn} from 'node:child_process';
import {rmSync} from 'node:fs';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import {ensurePrivateDir, stateDir} from '../core/state-dir.js';
import {which} from './find.js';
import {signalQuietly} from './processes.js';
import {randomSecret} from './secret.js';

type Tool = readonly [bin: string, ...args: string[]];

const CLIPBOARDS: readonly Tool[] = [
  ['pbcopy'],
  ['wl-copy'],
  ['xclip', '-selection', 'clipboard'],
  ['xsel', '--clipboard', '--input'],
  ['clip.exe'],
];

/** How long a browser may take to read the page that leads it on, s. */
const PAGE_S = 30;
/** What has not failed by then has worked, ms. */
const WAIT_MS = 1_000;

/** False when there is no tool for it. */
export async function copy(text: string): Promise<boolean> {
  for (const [bin, ...args] of CLIPBOARDS) {
    const path = await which(bin, process.env);
    if (path && (await handOver(path, args, text))) return true;
  }
  return false;
}

/**
 * False when there is no browser. An address with a secret in it goes by a private file that leads there: what stands on a
 * command line can be read by everybody on the machine.
 *
 * @param stays whether this process outlives the browser's look at that file; at its end the file goes at the latest.
 */
export async function openInBrowser(address: string, stays: boolean): Promise<boolean> {
  const target = address.includes('?') ? await pageTo(address, stays) : address;
  const tools = [process.env.BROWSER, 'wslview', 'xdg-open', 'open'].filter((bin) => bin !== undefined);
  for (const bin of tools) {
    const path = await which(bin, process.env);
    if (path && (await handOver(path, [target]))) return true;
  }
  return false;
}

/**
 * True when it ended well, or has not ended: a browser stays as long as its windows, a clipboard as long as what it holds.
 * Either outlives tunl.
 */
function handOver(path: string, args: readonly string[], input?: string): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(path, args, {
      detached: true,
      stdio: [input === undefined ? 'ignore' : 'pipe', 'ignore', 'ignore'],
    });
    child.unref();
    const timer = setTimeout(() => resolve(true), WAIT_MS);
    const over = (isDone: boolean) => {
      clearTimeout(timer);
      resolve(isDone);
    };
    child.once('error', () => over(false));
    child.once('exit', (code) => over(code === 0));
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}

async function pageTo(address: string, stays: boolean): Promise<string> {
  const folder = stateDir();
  await ensurePrivateDir(folder);
  const path = join(folder, `open-${randomSecret()}.html`);
  const href = address.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
  await writeFile(path, `<!doctype html><meta http-equiv="refresh" content="0;url=${href}">`, {mode: 0o600});
  // A process of its own, for this one may be killed.
  const sweeper = spawn('/bin/sh', ['-c', 'sleep "$1"; rm -f -- "$2"', 'sh', String(PAGE_S), path], {
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

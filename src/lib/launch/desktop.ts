// The clipboard and the browser of the desktop that tunl runs on, where there is one.

import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {pathToFileURL} from 'node:url';
import {ensurePrivateDir, stateDir} from '../core/state-dir.js';
import {which} from './find.js';
import {run} from './run.js';

type Tool = readonly [bin: string, ...args: string[]];

const CLIPBOARDS: readonly Tool[] = [
  ['pbcopy'],
  ['wl-copy'],
  ['xclip', '-selection', 'clipboard'],
  ['xsel', '--clipboard', '--input'],
  ['clip.exe'],
];

/** False when there is no tool for it. */
export async function copy(text: string): Promise<boolean> {
  for (const [bin, ...args] of CLIPBOARDS) {
    const path = await which(bin, process.env);
    if (path && (await run(path, args, {input: text, timeoutMs: 2_000})).code === 0) return true;
  }
  return false;
}

/**
 * False when there is no browser. An address with a secret in it goes by a private file that leads there: what stands on a
 * command line can be read by everybody on the machine.
 */
export async function openInBrowser(address: string): Promise<boolean> {
  const target = address.includes('?') ? await pageTo(address) : address;
  const tools = [process.env.BROWSER, 'wslview', 'xdg-open', 'open'].filter((bin) => bin !== undefined);
  for (const bin of tools) {
    const path = await which(bin, process.env);
    if (path && (await run(path, [target])).code === 0) return true;
  }
  return false;
}

async function pageTo(address: string): Promise<string> {
  const folder = stateDir();
  await ensurePrivateDir(folder);
  const path = join(folder, 'open.html');
  const href = address.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
  await writeFile(path, `<!doctype html><meta http-equiv="refresh" content="0;url=${href}">`, {mode: 0o600});
  return pathToFileURL(path).href;
}

// The examples of the pages in docs/, run by Node as a program of a user that has tunl among its packages.

import {mkdir, readFile, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {run} from './child.js';
import {projectRoot} from './cli.js';
import type {Scope} from './scope.js';

/** All code in JavaScript of a page or of a part of it. */
export function examplesIn(text: string): string[] {
  return [...text.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code = '']) => code);
}

export async function readPage(name: string): Promise<string> {
  return await readFile(join(projectRoot, 'docs', name), 'utf8');
}

/** A folder for programs with `import … from 'tunl'`. */
export async function userFolder(scope: Scope): Promise<string> {
  const folder = await scope.tempDir('page');
  await mkdir(join(folder, 'node_modules'));
  await symlink(projectRoot, join(folder, 'node_modules/tunl'));
  return folder;
}

/** The first example of a page. @param change makes places of the example those of the test */
export async function runExample(
  scope: Scope,
  page: string,
  {change, env}: {change: (code: string) => string; env: Record<string, string>},
): ReturnType<typeof run> {
  const file = join(await userFolder(scope), 'example.mjs');
  await writeFile(file, change(examplesIn(await readPage(page))[0] ?? ''));
  const stateDir = await scope.tempDir('state');
  return await run(scope, process.execPath, [file], {env: {...env, TUNL_STATE_DIR: stateDir}});
}

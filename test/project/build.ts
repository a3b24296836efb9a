// Builds a whole package beside the checkout, like `npm run build`, so that tests never see files of an older build.

import {execFile} from 'node:child_process';
import {cp, mkdtemp, rm, symlink} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {ROOT} from './source-files.js';

const run = promisify(execFile);

export interface BuiltPackage extends AsyncDisposable {
  folder: string;
}

/** Compiles, bundles, copies bin/ and package.json, and writes the manifest. */
export async function buildPackage(): Promise<BuiltPackage> {
  const folder = await mkdtemp(join(tmpdir(), 'tunl-package-'));
  const node = (cwd: string, script: string, ...args: string[]) =>
    run(process.execPath, [join(ROOT, 'node_modules', script), ...args], {cwd});
  await node(ROOT, 'typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', join(folder, 'dist'));
  for (const name of ['bin', 'package.json'])
    await cp(join(ROOT, name), join(folder, name), {recursive: true});
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  await run(process.execPath, [join(ROOT, 'scripts/bundle.js'), folder]);
  // It removes the manifest of its current folder before it writes one.
  await node(folder, 'oclif/bin/run.js', 'manifest');
  return {folder, [Symbol.asyncDispose]: () => rm(folder, {recursive: true, force: true})};
}

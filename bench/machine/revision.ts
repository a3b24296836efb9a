// Another revision of this project, built beside this one, so that rounds of both can alternate.

import {execFileSync} from 'node:child_process';
import {existsSync, mkdirSync, readFileSync, symlinkSync} from 'node:fs';
import {join} from 'node:path';
import {cacheFolder, projectRoot} from './tools.js';

const run = (command: string, words: readonly string[], cwd: string): string =>
  execFileSync(command, words, {cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit']}).trim();

/**
 * Builds `revision` once, in the bench's cache, with this checkout's packages if it needs the same ones.
 * @returns its program. @throws Error when git does not know it or the build fails.
 */
export function buildRevision(revision: string): string {
  const commit = run('git', ['rev-parse', '--verify', `${revision}^{commit}`], projectRoot);
  const folder = join(cacheFolder, 'revisions', commit);
  const program = join(folder, 'bin/run.js');
  if (existsSync(join(folder, 'dist/index.js'))) return program;
  process.stderr.write(`building ${revision}, commit ${commit.slice(0, 7)}\n`);
  mkdirSync(folder, {recursive: true});
  const archive = join(cacheFolder, `${commit}.tar`);
  run('git', ['archive', '--output', archive, commit], projectRoot);
  run('tar', ['-xf', archive, '-C', folder], projectRoot);
  const lock = 'package-lock.json';
  const isSame = readFileSync(join(folder, lock)).equals(readFileSync(join(projectRoot, lock)));
  if (!existsSync(join(folder, 'node_modules'))) {
    if (isSame) symlinkSync(join(projectRoot, 'node_modules'), join(folder, 'node_modules'));
    else run('npm', ['ci'], folder);
  }
  run('npm', ['run', '--silent', 'build'], folder);
  return program;
}

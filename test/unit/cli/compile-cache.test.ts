// Node runs the code of its compile cache, so the folder is used only when no other user can have written to it.

import {spawnSync} from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  symlinkSync,
} from 'node:fs';
import {realpath} from 'node:fs/promises';
import {join} from 'node:path';
import {describe, expect} from 'vitest';
import {compileCache} from '../../../src/lib/core/compile-cache.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';
import {ROOT} from '../../project/source-files.js';

/** Of nobody here. */
const STRANGER = 54_321;
const isRoot = process.getuid?.() === 0;

interface Place {
  home: string;
  env: {HOME: string; TMPDIR: string; XDG_CACHE_HOME?: string};
}

async function newPlace(scope: Scope): Promise<Place> {
  const [home, temporary] = await Promise.all([scope.tempDir('home'), scope.tempDir('tmp')]);
  return {home: await realpath(home), env: {HOME: await realpath(home), TMPDIR: temporary}};
}

/** Runs a command that ends by itself. @returns whether it has left compiled code in the folder of this environment */
function leavesCode({env}: Place, words: readonly string[] = ['expose', '0']): boolean {
  const {status, stderr} = spawnSync(process.execPath, [`${ROOT}/bin/run.js`, ...words], {
    env: {PATH: process.env.PATH, ...env},
    encoding: 'utf8',
    timeout: 30_000,
  });
  expect(status, stderr).toBe(words[0] === 'expose' ? 2 : 0);
  expect(readdirSync(env.TMPDIR)).toEqual([]);
  const folder = compileCache(env) ?? '';
  return existsSync(folder) && readdirSync(folder).length > 0;
}

test('it is private, in the folder of this user’s caches, and nothing is in the folder for temporary files', async ({
  scope,
}) => {
  const place = await newPlace(scope);
  expect(leavesCode(place)).toBe(true);
  for (const path of [join(place.home, '.cache'), join(place.home, '.cache/tunl')])
    expect(lstatSync(path).mode & 0o777, path).toBe(0o700);
  // It is used again.
  expect(leavesCode(place)).toBe(true);
});

test('the completion of a shell has it as well, and XDG_CACHE_HOME says where', async ({scope}) => {
  const place = await newPlace(scope);
  place.env.XDG_CACHE_HOME = join(place.home, 'caches');
  expect(leavesCode(place, ['__complete', '--', 'rel'])).toBe(true);
  expect(readdirSync(place.home)).toEqual(['caches']);
});

test('without a home, or with one that does not exist, there is none', async ({scope}) => {
  const place = await newPlace(scope);
  const missing = join(place.home, 'missing');
  expect(leavesCode({...place, env: {...place.env, HOME: missing}})).toBe(false);
  expect(leavesCode({...place, env: {...place.env, HOME: ''}})).toBe(false);
  expect(readdirSync(place.home)).toEqual([]);
});

describe('a folder in which others may write is not used', () => {
  test.for([
    ['.cache/tunl', '0770'],
    ['.cache/tunl', '0707'],
    ['.cache/tunl', '0755'],
    ['.cache', '0777'],
    ['.cache', '0770'],
    ['', '0770'],
    ['', '0777'],
  ] as const)('~/%s with mode %s', async ([name, mode], {scope}) => {
    const place = await newPlace(scope);
    mkdirSync(join(place.home, '.cache/tunl'), {recursive: true, mode: 0o700});
    chmodSync(join(place.home, name), Number.parseInt(mode, 8));
    expect(leavesCode(place)).toBe(false);
  });

  test.for(['.cache/tunl', '.cache'])('~/%s is a link', async (name, {scope}) => {
    const place = await newPlace(scope);
    const path = join(place.home, name);
    mkdirSync(join(place.home, '.cache/tunl'), {recursive: true, mode: 0o700});
    const elsewhere = join(await realpath(await scope.tempDir()), 'elsewhere');
    renameSync(path, elsewhere);
    symlinkSync(elsewhere, path);
    expect(leavesCode(place)).toBe(false);
  });

  // As root with the HOME of somebody else, as after `sudo -E`; only root can give a folder away.
  test.runIf(isRoot).for(['.cache/tunl', '.cache', ''])('~/%s of another user', async (name, {scope}) => {
    const place = await newPlace(scope);
    const path = join(place.home, name);
    mkdirSync(path, {recursive: true, mode: 0o700});
    chownSync(path, STRANGER, STRANGER);
    expect(leavesCode(place)).toBe(false);
    if (name === '') expect(readdirSync(path)).toEqual([]);
  });
});

test('the folder that a user has chosen for Node is the one', async ({scope}) => {
  const place = await newPlace(scope);
  const chosen = await scope.tempDir('chosen');
  const env = {...place.env, NODE_COMPILE_CACHE: chosen};
  expect(leavesCode({...place, env})).toBe(false);
  expect(readdirSync(chosen)).not.toEqual([]);
  expect(readdirSync(place.home)).toEqual([]);
});

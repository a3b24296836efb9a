// The functions that the bundle has in place of `node:fs/promises`: the same answers and the same errors.

import * as promises from 'node:fs/promises';
import {join} from 'node:path';
import {describe, expect, test} from 'vitest';
import * as own from '../../../src/lib/core/node-fs.js';
import {Scope} from '../../helpers/scope.js';

type Fs = typeof own;

/** Answers without what differs from one run to the next. */
const ANSWERS: Readonly<Record<string, (fs: Fs, folder: string) => Promise<unknown>>> = {
  'readFile, as text': (fs, folder) => fs.readFile(join(folder, 'file'), 'utf8'),
  'readFile, as bytes': (fs, folder) => fs.readFile(join(folder, 'file')),
  'readFile of a file that is missing': (fs, folder) => fs.readFile(join(folder, 'none')),
  'readFile of a folder': (fs, folder) => fs.readFile(folder),
  'readFile, aborted': (fs, folder) => fs.readFile(join(folder, 'file'), {signal: AbortSignal.abort()}),
  'readFile of a path with a zero byte': (fs) => fs.readFile('a\0b'),
  readdir: (fs, folder) => fs.readdir(folder),
  'readdir with types': async (fs, folder) =>
    (await fs.readdir(folder, {withFileTypes: true})).map((entry) => [entry.name, entry.isDirectory()]),
  'readdir, recursive': async (fs, folder) => (await fs.readdir(folder, {recursive: true})).sort(),
  stat: async (fs, folder) => (await fs.stat(join(folder, 'file'))).size,
  'stat with large numbers': async (fs, folder) => (await fs.stat(folder, {bigint: true})).mtimeNs,
  'stat of a link': async (fs, folder) => (await fs.stat(join(folder, 'link'))).isFile(),
  'lstat of a link': async (fs, folder) => (await fs.lstat(join(folder, 'link'))).isSymbolicLink(),
  readlink: (fs, folder) => fs.readlink(join(folder, 'link')),
  realpath: async (fs, folder) => (await fs.realpath(join(folder, 'link'))).slice(folder.length),
  'realpath of a loop': (fs, folder) => fs.realpath(join(folder, 'loop')),
  access: (fs, folder) => fs.access(join(folder, 'file'), fs.constants.R_OK),
  'access to a file that is missing': (fs, folder) => fs.access(join(folder, 'none')),
  'mkdir, recursive': async (fs, folder) =>
    (await fs.mkdir(join(folder, 'a/b'), {recursive: true}))?.slice(-2),
  'mkdir of an existing folder': (fs, folder) => fs.mkdir(join(folder, 'sub')),
  'writeFile with flag and mode': async (fs, folder) => {
    await fs.writeFile(join(folder, 'new'), 'text', {flag: 'wx', mode: 0o600});
    return [await fs.readFile(join(folder, 'new'), 'utf8'), (await fs.stat(join(folder, 'new'))).mode];
  },
  'writeFile to an existing file': (fs, folder) => fs.writeFile(join(folder, 'file'), '', {flag: 'wx'}),
  'rename, link, chmod, utimes': async (fs, folder) => {
    await fs.rename(join(folder, 'file'), join(folder, 'moved'));
    await fs.link(join(folder, 'moved'), join(folder, 'twice'));
    await fs.chmod(join(folder, 'moved'), 0o400);
    await fs.utimes(join(folder, 'moved'), 1, 2);
    const {mode, mtimeMs, nlink} = await fs.stat(join(folder, 'twice'));
    return [mode, mtimeMs, nlink];
  },
  'rm, recursive': async (fs, folder) => {
    await fs.rm(join(folder, 'sub'), {recursive: true});
    return await fs.readdir(folder);
  },
  'rm of a folder': (fs, folder) => fs.rm(join(folder, 'sub')),
  'rm of a file that is missing': (fs, folder) => fs.rm(join(folder, 'none')),
  'rm of a file that may be missing': (fs, folder) => fs.rm(join(folder, 'none'), {force: true}),
  'rmdir of a full folder': (fs, folder) => fs.rmdir(join(folder, 'sub')),
  mkdtemp: async (fs, folder) => (await fs.mkdtemp(join(folder, 'temp-'))).length - folder.length,
  'a handle': async (fs, folder) => {
    const file = await fs.open(join(folder, 'file'), 'r');
    try {
      return await file.readFile('utf8');
    } finally {
      await file.close();
    }
  },
};

async function answer(fs: Fs, ask: (fs: Fs, folder: string) => Promise<unknown>): Promise<unknown> {
  await using scope = new Scope();
  const folder = await scope.tempDir('fs');
  await promises.mkdir(join(folder, 'sub'));
  await promises.writeFile(join(folder, 'sub/inner'), '');
  await promises.writeFile(join(folder, 'file'), 'contents of the file ä');
  await promises.symlink('file', join(folder, 'link'));
  await promises.symlink('loop', join(folder, 'loop'));
  await promises.utimes(folder, 5, 5);
  return await ask(fs, folder).catch(({name, code, errno, syscall, message}) => ({
    ...{name, code, errno, syscall},
    message: message.replaceAll(folder, ''),
  }));
}

describe('has the answer of node:fs/promises:', () => {
  test.each(Object.entries(ANSWERS))('%s', async (_, ask) => {
    expect(await answer(own, ask)).toEqual(await answer(promises as unknown as Fs, ask));
  });
});

test('has no name that node:fs/promises does not have', () => {
  expect(Object.keys(own).filter((name) => !(name in promises))).toEqual([]);
});

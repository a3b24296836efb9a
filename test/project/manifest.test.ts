// The built package: its manifest is the committed one (a command missing there is "not found"), and it runs.

import {execFile} from 'node:child_process';
import {readFile} from 'node:fs/promises';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {type BuiltPackage, buildPackage} from './build.js';
import {ROOT} from './source-files.js';

let built: BuiltPackage;
beforeAll(async () => {
  built = await buildPackage();
}, 120_000);
afterAll(() => built?.[Symbol.asyncDispose]());

test('oclif.manifest.json is fresh (else: npm run build)', async () => {
  const read = async (folder: string) => JSON.parse(await readFile(`${folder}/oclif.manifest.json`, 'utf8'));
  expect(await read(ROOT)).toEqual(await read(built.folder));
});

describe('bin/run.js', () => {
  const tunl = (...words: string[]) =>
    new Promise<{exitCode: number; stdout: string; stderr: string}>((resolve) => {
      const child = execFile(
        process.execPath,
        [`${built.folder}/bin/run.js`, ...words],
        (_error, stdout, stderr) => resolve({exitCode: child.exitCode ?? -1, stdout, stderr}),
      );
    });

  test('--version', async () => {
    const {version} = JSON.parse(await readFile(`${ROOT}/package.json`, 'utf8'));
    expect(await tunl('--version')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(new RegExp(`^tunl/${version} `)),
    });
  });

  test('runs a command, its help, and reports an unknown command', async () => {
    const [run, help, none] = await Promise.all([
      tunl('expose', '0'),
      tunl('relay', 'start', '--help'),
      tunl('expsoe', '8000'),
    ]);
    expect(run).toMatchObject({exitCode: 2, stdout: '', stderr: expect.stringContaining('code: PORT_RANGE')});
    expect(help).toMatchObject({exitCode: 0, stdout: expect.stringContaining('--listen'), stderr: ''});
    expect(none).toMatchObject({exitCode: 2, stderr: expect.stringContaining('Did you mean `tunl expose`?')});
  });
});

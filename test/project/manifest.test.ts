// What is committed as oclif.manifest.json is what the sources make: a command missing there is "not found".

import {readFile} from 'node:fs/promises';
import {expect, test} from 'vitest';
import {buildPackage} from './build.js';
import {ROOT} from './source-files.js';

test('oclif.manifest.json is fresh (else: npm run build)', async () => {
  await using built = await buildPackage();
  const read = async (folder: string) => JSON.parse(await readFile(`${folder}/oclif.manifest.json`, 'utf8'));
  expect(await read(ROOT)).toEqual(await read(built.folder));
}, 120_000);

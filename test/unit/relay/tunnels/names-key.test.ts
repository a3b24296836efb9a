// The key of a relay's random names, and what is done about a file that cannot be used.

import {chmod, mkdir, stat, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {expect, test} from 'vitest';
import {createLogger, type LogRecord} from '../../../../src/lib/core/logger.js';
import {openNamesKey} from '../../../../src/lib/relay/tunnels/names-key.js';
import {Scope} from '../../../helpers/scope.js';

async function setUp(scope: Scope) {
  const stateDir = await scope.tempDir('relay');
  const path = join(stateDir, 'relay', 'r1.test', 'names.key');
  const records: LogRecord[] = [];
  const log = createLogger('relay', (record) => records.push(record));
  const settings = {stateDir, domain: 'r1.test', tokenRegistry: true, oidcIssuers: []};
  const open = async (changes: Partial<typeof settings> = {}) =>
    await openNamesKey({...settings, ...changes}, log);
  return {open, path, records};
}

test('it is made once, for its owner alone, also by two relays that start together', async () => {
  await using scope = new Scope();
  const {open, path, records} = await setUp(scope);
  const [one, other] = await Promise.all([open(), open()]);
  expect(one).toHaveLength(32);
  expect([other, await open()]).toEqual([one, one]);
  expect([(await stat(path)).mode & 0o777, (await stat(dirname(path))).mode & 0o777]).toEqual([0o600, 0o700]);
  expect(await open({domain: 'r2.test'})).not.toEqual(one);
  expect(records).toEqual([]);
});

test.each(['', 'abc', 'g'.repeat(64)])('a damaged file (%j) is replaced', async (text) => {
  await using scope = new Scope();
  const {open, path, records} = await setUp(scope);
  await mkdir(dirname(path), {recursive: true, mode: 0o700});
  await writeFile(path, text, {mode: 0o600});
  const made = await open();
  expect(await open()).toEqual(made);
  expect(records.map(({level, fields}) => [level, fields])).toEqual([['warn', {path}]]);
});

test('a file that others could have written is not believed', async () => {
  await using scope = new Scope();
  const {open, path} = await setUp(scope);
  await open();
  await chmod(path, 0o622);
  await expect(open()).rejects.toMatchObject({code: 'STATE_DIR'});
});

test('a folder that nobody can write gives a key for this run', async () => {
  await using scope = new Scope();
  const {open, records} = await setUp(scope);
  // Not even root can make a folder in it.
  const nobody = {stateDir: '/proc'};
  expect(await open(nobody)).not.toEqual(await open(nobody));
  expect(records.map(({level}) => level)).toEqual(['error', 'error']);
});

test('a relay at which everybody may have all names writes none', async () => {
  await using scope = new Scope();
  const {open, path} = await setUp(scope);
  const key = await open({tokenRegistry: false});
  expect(key).toHaveLength(32);
  await expect(stat(path)).rejects.toMatchObject({code: 'ENOENT'});
});

import {mkdir, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect, test} from 'vitest';
import {Homes} from '../../../src/lib/hub/homes.js';
import {HubUsers} from '../../../src/lib/hub/users.js';
import {Scope} from '../../helpers/scope.js';

test('a name that is given again is another user, with other files', async () => {
  await using scope = new Scope();
  const stateDir = await scope.tempDir('hub');
  const users = new HubUsers(stateDir);
  const homes = new Homes(stateDir);
  const first = await users.add('ana');
  const home = await homes.prepare(first, 'notebook');
  await users.remove('ana');
  const second = await users.add('ana');
  expect([second.id === first.id, second.number]).toEqual([false, first.number + 1]);
  expect(await homes.prepare(second, 'notebook')).not.toBe(home);
  expect(await users.list()).toEqual([second]);
});

test.each(['', 'a b', '../ana', 'ana/ben', 'x'.repeat(65), 'änne'])('%j is no name', async (name) => {
  await using scope = new Scope();
  await expect(new HubUsers(await scope.tempDir('hub')).add(name)).rejects.toMatchObject({
    code: 'OPTION_INVALID',
  });
});

test('many at once get different numbers', async () => {
  await using scope = new Scope();
  const users = new HubUsers(await scope.tempDir('hub'));
  const added = await Promise.all(Array.from({length: 8}, (_, i) => users.add(`user${i}`)));
  expect(new Set(added.map(({number}) => number)).size).toBe(8);
});

test('a damaged list, or one that is gone while there are homes, is an error and stays as it is', async () => {
  await using scope = new Scope();
  const stateDir = await scope.tempDir('hub');
  const users = new HubUsers(stateDir);
  const ana = await users.add('ana');
  const path = join(stateDir, 'hub', 'users.json');
  await writeFile(path, '[{"id":');
  await expect(users.list()).rejects.toMatchObject({code: 'STATE_DIR'});
  await expect(users.add('ben')).rejects.toMatchObject({code: 'STATE_DIR'});
  await rm(path);
  expect(await users.list()).toEqual([]);
  await mkdir(join(stateDir, 'hub', 'homes', ana.id), {recursive: true, mode: 0o700});
  await expect(users.add('ben')).rejects.toMatchObject({code: 'STATE_DIR'});
});

test('a change by another process is seen at once', async () => {
  await using scope = new Scope();
  const stateDir = await scope.tempDir('hub');
  const [hub, command] = [new HubUsers(stateDir), new HubUsers(stateDir)];
  const {id} = await command.add('ana', 1);
  expect(await hub.byId(id)).toMatchObject({quota: 1});
  await command.set('ana', 7);
  expect(await hub.byId(id)).toMatchObject({quota: 7});
  await command.remove('ana');
  expect(await hub.byId(id)).toBeUndefined();
});

test('a user who was removed is found by the ID, and by the name if only one had it', async () => {
  await using scope = new Scope();
  const users = new HubUsers(await scope.tempDir('hub'));
  const first = await users.add('ana');
  await users.remove('ana');
  expect(await users.findEver('Ana')).toMatchObject({id: first.id});
  const second = await users.add('ana');
  // The one who is there is meant.
  expect(await users.findEver('ana')).toMatchObject({id: second.id});
  await users.remove('ana');
  await expect(users.findEver('ana')).rejects.toMatchObject({code: 'HUB_USER_UNKNOWN'});
  expect(await users.findEver(first.id)).toMatchObject({id: first.id});
  await expect(users.findEver('ben')).rejects.toMatchObject({code: 'HUB_USER_UNKNOWN'});
});

test('somebody whose name is the id of another user is a user of their own', async () => {
  await using scope = new Scope();
  const users = new HubUsers(await scope.tempDir('hub'));
  const ana = await users.add('ana');
  const other = await users.findOrAdd(ana.id, 1);
  expect([other.id === ana.id, other.name]).toEqual([false, ana.id]);
  expect(await users.findOrAdd('Ana', 1)).toEqual(ana);
  expect(await users.find(ana.id)).toEqual(ana);
});

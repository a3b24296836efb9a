// Stored logins: private files, one for each relay, and clear errors for damaged ones.

import {chmod, readdir, rm, stat, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {describe, expect} from 'vitest';
import {Contexts, EMBEDDED} from '../../../../src/lib/agent/login/contexts.js';
import {createAuthority} from '../../../helpers/certificates.js';
import {test} from '../../../helpers/test.js';

const one = {name: 't.example.com', relay: 'https://t.example.com', token: 'a'.repeat(20)};
const other = {
  name: 'r1.example.net:8443',
  relay: 'https://r1.example.net:8443',
  caFile: '/ca.pem',
  token: 'b'.repeat(20),
  expiresAt: '2026-06-01T17:00:00.000Z',
  renewal: {
    issuer: 'https://id.example.com',
    clientId: 'tunl',
    refreshToken: 'c'.repeat(20),
    at: 1_780_000_000_000,
  },
};

test('what is saved is read again, by name and by relay', async ({scope}) => {
  const contexts = new Contexts(await scope.tempDir());
  expect(await contexts.all()).toEqual([]);
  expect(await contexts.current()).toBeUndefined();
  await contexts.save(other);
  await contexts.save(one);
  expect(await contexts.all()).toEqual([other, one]);
  expect(await contexts.at(other.relay)).toEqual(other);
  await contexts.use(other.name);
  expect(await contexts.current()).toBe(other.name);
  const {token: _, ...loggedOut} = one;
  await contexts.save(loggedOut);
  expect(await contexts.get(one.name)).toEqual(loggedOut);
});

test('the CA of a relay counts for its own names only', async ({scope}) => {
  const folder = await scope.tempDir();
  const contexts = new Contexts(folder);
  const {cert} = await createAuthority();
  const caFile = join(folder, 'ca.pem');
  await writeFile(caFile, cert);
  await contexts.save({...one, caFile});
  expect(await contexts.caFor('t.example.com')).toBe(cert);
  expect(await contexts.caFor('demo.t.example.com')).toBe(cert);
  for (const host of ['example.com', 'xt.example.com', 't.example.com.evil.test', '192.0.2.1', ''])
    expect(await contexts.caFor(host)).toBeUndefined();
  await rm(caFile);
  expect(await contexts.caFor('t.example.com')).toBeUndefined();
});

test('a removed context is no longer the current one', async ({scope}) => {
  const contexts = new Contexts(await scope.tempDir());
  await contexts.save(one);
  await contexts.use(one.name);
  await contexts.remove(one.name);
  expect(await contexts.current()).toBeUndefined();
  expect(await contexts.all()).toEqual([]);
  await expect(contexts.remove(one.name)).rejects.toMatchObject({code: 'CONTEXT_UNKNOWN'});
  await expect(contexts.use(one.name)).rejects.toMatchObject({code: 'CONTEXT_UNKNOWN'});
});

test('only this user can read the files, and no temporary file stays', async ({scope}) => {
  const folder = join(await scope.tempDir(), 'state');
  const contexts = new Contexts(folder);
  await contexts.save(one);
  await contexts.save({...one, token: 'd'.repeat(20)});
  await contexts.use(one.name);
  const modes = async (path: string) => (await stat(path)).mode & 0o777;
  const files = await readdir(join(folder, 'contexts'));
  expect(files.sort()).toEqual(['current', 't.example.com.json']);
  for (const file of files) expect(await modes(join(folder, 'contexts', file))).toBe(0o600);
  expect(await modes(join(folder, 'contexts'))).toBe(0o700);
});

test.for([
  'not json',
  '{}',
  '[]',
  'null',
  '{"version":2,"relay":"https://t.example.com"}',
  '{"version":1,"relay":"http://t.example.com"}',
  '{"version":1,"relay":"https://t.example.com","token":5}',
  '{"version":1,"relay":"https://t.example.com","renewal":{"issuer":"x"}}',
  '{"version":1,"relay":"https://t.example.com","token":"SECRET-SECRET"',
])('a damaged file is a clear error that repeats nothing of it: %s', async (text, {scope}) => {
  const folder = await scope.tempDir();
  const contexts = new Contexts(folder);
  await contexts.save(one);
  await writeFile(join(folder, 'contexts', 't.example.com.json'), text);
  const error = await contexts.get(one.name).then(
    () => undefined,
    (thrown: unknown) => thrown as Error & {code: string; next: string},
  );
  expect(error).toMatchObject({code: 'STATE_DIR', message: expect.stringContaining('is damaged')});
  expect(error?.next).toContain('rm ');
  expect(`${error?.message}${error?.next}`).not.toContain('SECRET');
});

test('a file that others could have written is not believed', async ({scope}) => {
  const folder = await scope.tempDir();
  const contexts = new Contexts(folder);
  await contexts.save(one);
  const path = join(folder, 'contexts', 't.example.com.json');
  await chmod(path, 0o666);
  await expect(contexts.get(one.name)).rejects.toMatchObject({code: 'STATE_DIR'});
  await symlink(path, join(folder, 'contexts', 'link.json'));
  await expect(contexts.get('link')).rejects.toMatchObject({code: 'STATE_DIR'});
});

describe('names', () => {
  test.for([EMBEDDED, '', '../x', 'a/b', '.', '..', 'a b', '-x', 'a\n', 'x'.repeat(262), '__proto__'])(
    '%j is refused',
    async (name, {scope}) => {
      const contexts = new Contexts(await scope.tempDir());
      const saved = contexts.save({...one, name});
      await expect(saved).rejects.toMatchObject({code: 'OPTION_INVALID'});
      await expect(contexts.get(name)).rejects.toMatchObject({code: 'CONTEXT_UNKNOWN'});
    },
  );

  test.for(['constructor', 'work', '[::1]:8443', '192.0.2.1', 'current'])(
    '%s can be used',
    async (name, {scope}) => {
      const contexts = new Contexts(await scope.tempDir());
      await contexts.save({...one, name});
      await contexts.use(name);
      expect(await contexts.get(name)).toEqual({...one, name});
      expect(await contexts.current()).toBe(name);
    },
  );
});

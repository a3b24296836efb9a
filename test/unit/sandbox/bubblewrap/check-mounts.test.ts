// Which folders of the host may be mounted into a sandbox.

import {mkdir, realpath, symlink, writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {join} from 'node:path';
import {afterEach, describe, expect, vi} from 'vitest';
import {checkMounts} from '../../../../src/lib/sandbox/bubblewrap/check-mounts.js';
import {test} from '../../../helpers/test.js';

const mount = (source: string, target = '/project') => ({source, target, readOnly: true});

test('a folder and a file, with links resolved', async ({scope}) => {
  const folder = await scope.tempDir();
  await mkdir(join(folder, 'real'));
  await writeFile(join(folder, 'real', 'file'), 'x');
  await symlink('real', join(folder, 'link'));
  const [first, second] = checkMounts(
    [mount(join(folder, 'link')), mount(join(folder, 'link/file'), '/a/b')],
    [],
  );
  expect(first).toMatchObject({source: join(folder, 'real'), isFolder: true, target: '/project'});
  expect(second).toMatchObject({source: join(folder, 'real/file'), isFolder: false, target: '/a/b'});
});

test('the state folder is refused: itself, parts of it, what contains it, and links to it', async ({
  scope,
}) => {
  const folder = await scope.tempDir();
  const state = join(folder, 'state');
  await mkdir(join(state, 'tokens'), {recursive: true});
  await symlink(state, join(folder, 'link'));
  for (const source of [state, join(state, 'tokens'), folder, join(folder, 'link'), '/'])
    expect(() => checkMounts([mount(source)], [state])).toThrow(
      expect.objectContaining({code: 'OPTION_INVALID'}),
    );
  await mkdir(join(state, 'hub/homes/u1'), {recursive: true});
  expect(checkMounts([mount(join(state, 'hub/homes/u1'))], [state])).toHaveLength(1);
  expect(() => checkMounts([mount(join(state, 'hub/homes'))], [state])).toThrow(
    expect.objectContaining({code: 'OPTION_INVALID'}),
  );
});

describe('the folder of compiled code, which may not exist yet', () => {
  afterEach(() => vi.unstubAllEnvs());

  test('nothing inside may write to it, to parts of it, or to what contains it', async ({scope}) => {
    const caches = await realpath(await scope.tempDir());
    vi.stubEnv('XDG_CACHE_HOME', caches);
    await mkdir(join(caches, 'pip'));
    const writable = (source: string) => ({...mount(source), readOnly: false});
    const refused = expect.objectContaining({code: 'OPTION_INVALID'});
    expect(() => checkMounts([writable(caches)], [])).toThrow(refused);
    await mkdir(join(caches, 'tunl/v24'), {recursive: true});
    for (const source of [caches, join(caches, 'tunl'), join(caches, 'tunl/v24')])
      expect(() => checkMounts([writable(source)], [])).toThrow(refused);
    expect(checkMounts([writable(join(caches, 'pip')), mount(caches, '/caches')], [])).toHaveLength(2);
  });
});

test('sockets are refused', async ({scope}) => {
  const path = join(await scope.tempDir(), 'docker.sock');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  scope.onEnd(() => void server.close());
  expect(() => checkMounts([mount(path)], [])).toThrow(expect.objectContaining({code: 'OPTION_INVALID'}));
});

describe('places of the host that are never mounted', () => {
  test.for(['/', '/proc', '/proc/1', '/sys', '/dev', '/run', '/var', '/run/docker.sock/..'])(
    '%s',
    (source) => {
      expect(() => checkMounts([mount(source)], [])).toThrow(
        expect.objectContaining({code: 'OPTION_INVALID'}),
      );
    },
  );
});

describe('places inside that are refused', () => {
  test.for([
    '/',
    'work',
    '/project/../etc',
    '/a//b',
    '/./a',
    '/proc',
    '/dev/shm',
    '/opt',
    '/opt/tunl/bin',
    '/bin/x',
  ])('%s', (target) => {
    expect(() => checkMounts([mount('/usr/share', target)], [])).toThrow(
      expect.objectContaining({code: 'OPTION_INVALID'}),
    );
  });
});

test('a path that does not exist, or is not absolute', () => {
  expect(() => checkMounts([mount('/nonexistent/x')], [])).toThrow(
    expect.objectContaining({code: 'FILE_UNREADABLE'}),
  );
  expect(() => checkMounts([mount('usr')], [])).toThrow(expect.objectContaining({code: 'OPTION_INVALID'}));
});

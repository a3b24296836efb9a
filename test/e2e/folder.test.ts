// A folder with a public address, requested by curl through a relay in another process: its files are served, and nothing
// else.

import {existsSync} from 'node:fs';
import {chmod, mkdir, readdir, symlink, utimes, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect} from 'vitest';
import {Child, run} from '../helpers/child.js';
import {entry} from '../helpers/cli.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {curl} from '../helpers/visitors.js';

const BYTES = Buffer.from(Array.from({length: 1000}, (_, i) => 97 + (i % 26)));

/** `site/` with a secret beside it. */
async function site(scope: Scope): Promise<{outside: string; folder: string}> {
  const outside = await scope.tempDir('outside');
  const folder = join(outside, 'site');
  await mkdir(join(folder, 'sub dir'), {recursive: true});
  await mkdir(join(folder, '.git'));
  await writeFile(join(outside, 'secret'), 'SECRET');
  await writeFile(join(folder, 'index.html'), '<h1>hello</h1>');
  await writeFile(join(folder, 'sub dir', 'index.html'), 'below');
  await writeFile(join(folder, 'bytes.bin'), BYTES);
  await writeFile(join(folder, 'empty'), '');
  await writeFile(join(folder, '.env'), 'SECRET');
  await writeFile(join(folder, '.git', 'config'), 'SECRET');
  await symlink('../secret', join(folder, 'out'));
  await symlink('..', join(folder, 'up'));
  await symlink('.env', join(folder, 'env'));
  await symlink('bytes.bin', join(folder, 'inside'));
  await mkdir(join(folder, 'linked'));
  await symlink('../../secret', join(folder, 'linked', 'index.html'));
  return {outside, folder};
}

/** Status, headers and body of one answer. */
async function ask(scope: Scope, relay: RelayProcess, url: string, more: string[] = []) {
  const {code, stdout, stderr} = await curl(scope, relay.caFile, [
    '--include',
    '--http1.1',
    '--path-as-is',
    ...more,
    url,
  ]);
  expect(code, stderr).toBe(0);
  const end = stdout.indexOf('\r\n\r\n');
  const [line = '', ...rows] = stdout.slice(0, end).split('\r\n');
  const headers = Object.fromEntries(
    rows.map((row) => [row.slice(0, row.indexOf(':')).toLowerCase(), row.slice(row.indexOf(':') + 2)]),
  );
  return {status: Number(line.split(' ')[1]), headers, body: stdout.slice(end + 4)};
}

test('files are served: the index, types, ranges, conditions', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const {folder} = await site(scope);
  await utimes(join(folder, 'bytes.bin'), 1_700_000_000, 1_700_000_000);
  const {ready} = await relay.expose('./site/', {cwd: join(folder, '..')});
  expect(ready.upstream).toBe(`${folder}/`);
  const get = (path: string, more?: string[]) => ask(scope, relay, `${ready.url}${path}`, more);
  const index = await get('/');
  expect([index.status, index.body, index.headers['content-type']]).toEqual([
    200,
    '<h1>hello</h1>',
    'text/html; charset=utf-8',
  ]);
  expect(index.headers['cache-control']).toBe('public, max-age=0');
  expect(await get('/sub%20dir?a=b')).toMatchObject({status: 301, headers: {location: '/sub%20dir/?a=b'}});
  expect(await get('/sub%20dir/')).toMatchObject({status: 200, body: 'below'});
  expect(await get('//bytes.bin')).toMatchObject({status: 200});
  const whole = await get('/bytes.bin');
  expect([whole.body, whole.headers['accept-ranges'], whole.headers['last-modified']]).toEqual([
    BYTES.toString(),
    'bytes',
    'Tue, 14 Nov 2023 22:13:20 GMT',
  ]);
  expect(await get('/inside')).toMatchObject({status: 200, body: BYTES.toString()});
  expect(await get('/empty')).toMatchObject({status: 200, body: '', headers: {'content-length': '0'}});
  const head = await get('/bytes.bin', ['--head']);
  expect([head.status, head.headers['content-length'], head.body]).toEqual([200, '1000', '']);
  const range = await get('/bytes.bin', ['--range', '10-19']);
  expect([range.status, range.body, range.headers['content-range']]).toEqual([
    206,
    'klmnopqrst',
    'bytes 10-19/1000',
  ]);
  expect(await get('/bytes.bin', ['--range', '-5'])).toMatchObject({
    status: 206,
    body: BYTES.toString().slice(-5),
  });
  expect(await get('/bytes.bin', ['--range', '5000-'])).toMatchObject({
    status: 416,
    headers: {'content-range': 'bytes */1000'},
  });
  const etag = whole.headers.etag ?? '';
  expect(await get('/bytes.bin', ['--header', `If-None-Match: ${etag}`])).toMatchObject({
    status: 304,
    body: '',
  });
  expect(
    await get('/bytes.bin', ['--header', 'If-Modified-Since: Wed, 15 Nov 2023 00:00:00 GMT']),
  ).toMatchObject({status: 304});
  expect(
    await get('/bytes.bin', ['--header', 'If-Modified-Since: Mon, 13 Nov 2023 00:00:00 GMT']),
  ).toMatchObject({status: 200});
  expect(await get('/', ['--request', 'POST', '--data', 'x'])).toMatchObject({
    status: 405,
    headers: {allow: 'GET, HEAD'},
  });
});

test('nothing else is served: parents, links that lead out, dotfiles, listings, special files', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const {outside, folder} = await site(scope);
  await run(scope, 'mkfifo', [join(folder, 'fifo')]);
  const {ready} = await relay.expose(folder);
  const paths = [
    ...[
      '/../secret',
      '/sub%20dir/../../secret',
      '/%2e%2e/secret',
      '/..%2fsecret',
      '/%2e%2e%2fsecret',
      '/..%5csecret',
    ],
    ...[
      '/%252e%252e/secret',
      '//../secret',
      `/${encodeURIComponent(join(outside, 'secret'))}`,
      `/${outside}/secret`,
    ],
    ...['/out', '/up/secret', '/up', '/up/', '/linked/', '/linked/index.html'],
    ...['/.env', '/%2eenv', '/.git/config', '/env', '/.git', '/./.env', '/sub%20dir/../.env'],
    ...['/nothing', '/bytes.bin/', '/fifo', '/index.html%00.png', '/%', '/%ff'],
  ];
  for (const path of paths) {
    const {status, body} = await ask(scope, relay, `${ready.url}${path}`);
    expect([path, status >= 400 && status < 500, body.includes('SECRET')]).toEqual([path, true, false]);
  }
  // A folder without an index is not listed.
  await writeFile(join(folder, 'sub dir', 'more'), '');
  const {status} = await ask(scope, relay, `${ready.url}/linked`);
  expect(status).toBe(301);
});

test('a file that may not be read is a 404, empty or not, and the tunnel goes on', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const {folder} = await site(scope);
  for (const name of ['empty', 'bytes.bin']) await chmod(join(folder, name), 0o000);
  // Root may read every file.
  const asUser = process.getuid?.() === 0 ? ['--bounding-set=-dac_override,-dac_read_search', '--'] : ['--'];
  const words = [...asUser, process.execPath, entry, 'expose', folder, '--json'];
  const stateDir = await scope.tempDir('state');
  const child = Child.start(scope, 'setpriv', words, {env: {...relay.env, TUNL_STATE_DIR: stateDir}});
  const {url} = JSON.parse(await child.line());
  for (const name of ['empty', 'bytes.bin', 'empty'])
    expect(await ask(scope, relay, `${url}/${name}`), name).toMatchObject({status: 404, body: '404\n'});
  expect(await ask(scope, relay, `${url}/`)).toMatchObject({status: 200});
});

test('it ends with its tunnel and leaves no socket behind', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const {folder} = await site(scope);
  const {cli, ready} = await relay.expose(folder);
  expect((await ask(scope, relay, `${ready.url}/`)).status).toBe(200);
  const run = join(cli.stateDir, 'run');
  const [name = ''] = await readdir(run);
  expect(existsSync(join(run, name, 'http'))).toBe(true);
  cli.signal('SIGTERM');
  expect(await cli.exited).toMatchObject({code: 0});
  expect(await readdir(run)).toEqual([]);
});

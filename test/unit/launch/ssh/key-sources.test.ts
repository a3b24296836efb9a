// Keys from files, from GitHub and from a real ssh-agent.
import {writeFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {join} from 'node:path';
import {describe, expect} from 'vitest';
import {keysFromGitHub} from '../../../../src/lib/launch/ssh/github-keys.js';
import {keysFromAgent, keysFromFile, mergeKeys} from '../../../../src/lib/launch/ssh/key-sources.js';
import {Child, run} from '../../../helpers/child.js';
import {plainEnv} from '../../../helpers/launching.js';
import type {Scope} from '../../../helpers/scope.js';
import {makeKey} from '../../../helpers/ssh.js';
import {test} from '../../../helpers/test.js';

describe('a file', () => {
  test('a public key, and its private half', async ({scope}) => {
    const {path} = await makeKey(scope);
    expect((await keysFromFile(`${path}.pub`)).keys).toHaveLength(1);
    await expect(keysFromFile(path)).rejects.toMatchObject({
      code: 'KEY_PRIVATE',
      next: `Give its public half: ${path}.pub`,
    });
  });

  test('only the first line of a private key is read', async ({scope}) => {
    const {path} = await makeKey(scope);
    // In a separate process, whose file handles count the bytes read.
    const code = `import {open} from 'node:fs/promises';
const file = await open(process.argv[1]);
const real = Object.getPrototypeOf(file);
await file.close();
const {keysFromFile} = await import(${JSON.stringify(new URL('../../../../src/lib/launch/ssh/key-sources.ts', import.meta.url).href)});
let bytes = 0;
const {read, readFile} = real;
real.read = async function (...args) { const r = await read.apply(this, args); bytes += r.bytesRead; return r; };
real.readFile = async function (...args) { bytes += 1e9; return readFile.apply(this, args); };
await keysFromFile(process.argv[1]).catch((error) => console.log(error.code, bytes));`;
    const hook = new URL('../../../helpers/ts-hook.js', import.meta.url).href;
    const args = ['--import', hook, '--input-type=module', '-e', code, path];
    expect((await run(scope, process.execPath, args)).stdout).toBe('KEY_PRIVATE 48\n');
  });

  test('missing, a folder, too large', async ({scope}) => {
    const folder = await scope.tempDir();
    await expect(keysFromFile(join(folder, 'none'))).rejects.toMatchObject({code: 'FILE_UNREADABLE'});
    await expect(keysFromFile(folder)).rejects.toMatchObject({code: 'FILE_UNREADABLE'});
    await writeFile(join(folder, 'large'), Buffer.alloc(9 * 1024 * 1024, '#'));
    await expect(keysFromFile(join(folder, 'large'))).rejects.toMatchObject({code: 'KEY_INVALID'});
  });
});

describe('GitHub', () => {
  const gitHub = async (scope: Scope, pages: Record<string, [number, string]>) => {
    const port = await scope.listen(
      createServer((question, answer) => {
        const [status, body] = pages[question.url ?? ''] ?? [404, 'Not Found'];
        answer.writeHead(status, {location: '/other.keys'}).end(body);
      }),
    );
    return {baseUrl: `http://127.0.0.1:${port}`};
  };

  test('the keys of a user', async ({scope}) => {
    const [one, two] = [await makeKey(scope), await makeKey(scope)];
    const bare = [one, two].map((key) => key.publicKey.split(' ').slice(0, 2).join(' '));
    const options = await gitHub(scope, {'/octocat.keys': [200, `${bare.join('\n')}\n`]});
    expect((await keysFromGitHub('octocat', options)).keys.map((key) => `${key.type} ${key.data}`)).toEqual(
      bare,
    );
  });

  test('no such user, no keys, a redirect, a broken page, options', async ({scope}) => {
    const {publicKey} = await makeKey(scope);
    const options = await gitHub(scope, {
      '/empty.keys': [200, '\n'],
      '/moved.keys': [301, ''],
      '/other.keys': [200, publicKey],
      '/broken.keys': [500, ''],
      '/page.keys': [200, '<html>'],
      '/large.keys': [200, '#'.repeat(2 * 1024 * 1024)],
      '/sly.keys': [200, `command="evil" ${publicKey}`],
    });
    const cases: [string, string, RegExp][] = [
      ['nobody', 'KEY_SOURCE', /no GitHub user nobody/],
      ['empty', 'KEY_SOURCE', /publishes no keys/],
      ['moved', 'KEY_SOURCE', /answered 301/],
      ['broken', 'KEY_SOURCE', /answered 500/],
      ['large', 'KEY_SOURCE', /too large/],
      ['page', 'KEY_INVALID', /github.com\/page, line 1/],
      ['sly', 'KEY_INVALID', /options before its key/],
      ['../x', 'KEY_SOURCE', /no GitHub user name/],
      ['-a', 'KEY_SOURCE', /no GitHub user name/],
      ['', 'KEY_SOURCE', /no GitHub user name/],
    ];
    for (const [user, code, message] of cases) {
      await expect(keysFromGitHub(user, options), user).rejects.toMatchObject({
        code,
        message: expect.stringMatching(message),
      });
    }
  });

  test('not reachable, and aborted', async ({scope}) => {
    const refused = keysFromGitHub('octocat', {baseUrl: 'http://127.0.0.1:1'});
    await expect(refused).rejects.toMatchObject({
      code: 'KEY_SOURCE',
      message: expect.stringContaining('ECONNREFUSED'),
    });
    const port = await scope.listen(createServer(() => {}));
    const abort = new AbortController();
    const hanging = keysFromGitHub('octocat', {baseUrl: `http://127.0.0.1:${port}`, signal: abort.signal});
    abort.abort();
    await expect(hanging).rejects.toMatchObject({code: 'ABORTED'});
  });
});

describe('the ssh agent', () => {
  test('its keys; none; no agent', async ({scope}) => {
    const path = join(await scope.tempDir('agent'), 'agent');
    const agent = Child.start(scope, 'ssh-agent', ['-D', '-a', path]);
    await agent.line();
    const env = plainEnv({SSH_AUTH_SOCK: path});
    await expect(keysFromAgent(env)).rejects.toMatchObject({message: 'The ssh agent holds no keys.'});
    const key = await makeKey(scope);
    expect((await run(scope, 'ssh-add', ['-q', key.path], {env})).code).toBe(0);
    const {keys} = await keysFromAgent(env);
    expect(keys.map(({type, data}) => `${type} ${data}`)).toEqual([
      key.publicKey.split(' ').slice(0, 2).join(' '),
    ]);
    await expect(keysFromAgent(plainEnv())).rejects.toMatchObject({code: 'KEY_SOURCE'});
    await expect(keysFromAgent({PATH: '/nowhere'})).rejects.toMatchObject({code: 'KEY_SOURCE'});
  });
});

test('several sources: each key once, in order', async ({scope}) => {
  const [one, two] = [await makeKey(scope), await makeKey(scope)];
  const lists = await Promise.all([one, two, one].map((key) => keysFromFile(`${key.path}.pub`)));
  expect(mergeKeys(lists).keys).toEqual([lists[0]?.keys[0], lists[1]?.keys[0]]);
});

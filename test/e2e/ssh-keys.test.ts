// The keys that `tunl ssh` accepts: those of a running ssh-agent, and those that GitHub publishes.
import {once} from 'node:events';
import {readdirSync} from 'node:fs';
import {writeFile} from 'node:fs/promises';
import {createServer, type IncomingMessage} from 'node:http';
import {createServer as createHttpsServer} from 'node:https';
import {connect, type Socket} from 'node:net';
import {join} from 'node:path';
import {expect} from 'vitest';
import {createAuthority} from '../helpers/certificates.js';
import {Child, cleanEnv, run} from '../helpers/child.js';
import {runCli} from '../helpers/cli.js';
import {plainEnv, safeFolder} from '../helpers/launching.js';
import {startBehindRelay} from '../helpers/programs.js';
import {type Scope, unusedPort} from '../helpers/scope.js';
import {type KeyFiles, makeKey, sshFolder} from '../helpers/ssh.js';
import {test} from '../helpers/test.js';

/** The exit code of the printed line with this key. */
async function logIn(scope: Scope, line: string, key: KeyFiles, knownHosts = ''): Promise<number | null> {
  const folder = await sshFolder(scope, key, knownHosts);
  const env = {PATH: `${folder}:${cleanEnv().PATH}`};
  return (await run(scope, '/bin/sh', ['-c', `${line} true`], {env})).code;
}

test('--agent-keys: the keys of the running agent, and no other', async ({scope}) => {
  const path = join(await scope.tempDir('agent'), 'agent');
  const agent = Child.start(scope, 'ssh-agent', ['-D', '-a', path]);
  await agent.line();
  const env = {SSH_AUTH_SOCK: path};
  const none = await runCli(scope, ['ssh', '--agent-keys', '--json'], {env});
  expect(none.cli.error).toMatchObject({
    code: 'KEY_SOURCE',
    message: 'The ssh agent holds no keys.',
    exitCode: 8,
  });
  const key = await makeKey(scope);
  await run(scope, 'ssh-add', ['-q', key.path], {env: plainEnv(env)});
  const {cli} = await startBehindRelay(scope, ['ssh', '--agent-keys', '--json'], {
    env,
    stateDir: await safeFolder(scope),
  });
  const {address, login} = await cli.event('ready');
  expect(await logIn(scope, address, key, login?.knownHosts)).toBe(0);
  expect(await logIn(scope, address, await makeKey(scope), login?.knownHosts)).toBe(255);
  await cli.stop();
  const gone = await runCli(scope, ['ssh', '--agent-keys', '--json']);
  expect(gone.cli.error).toMatchObject({
    code: 'KEY_SOURCE',
    message: expect.stringContaining('No ssh agent'),
  });
});

/** github.com behind an HTTPS proxy: pages by path. The name is real, the certificate is the test's. */
async function gitHub(scope: Scope, pages: Record<string, string>): Promise<Record<string, string>> {
  const authority = await createAuthority();
  const caFile = join(await scope.tempDir('ca'), 'ca.pem');
  await writeFile(caFile, authority.cert);
  const site = createHttpsServer(await authority.issue(['github.com']), (question, answer) => {
    const page = pages[question.url ?? ''];
    answer.writeHead(page === undefined ? 404 : 200).end(page);
  });
  const sitePort = await scope.listen(site);
  const proxy = createServer();
  proxy.on('connect', (question: IncomingMessage, visitor: Socket) => {
    visitor.on('error', () => {});
    if (question.url !== 'github.com:443') return void visitor.end('HTTP/1.1 403 Forbidden\r\n\r\n');
    const upstream = connect(sitePort, '127.0.0.1');
    upstream.on('error', () => visitor.destroy());
    void once(upstream, 'connect').then(() => {
      visitor.write('HTTP/1.1 200 OK\r\n\r\n');
      visitor.pipe(upstream).pipe(visitor);
    });
  });
  const port = await scope.listen(proxy);
  return {HTTPS_PROXY: `http://127.0.0.1:${port}`, NODE_EXTRA_CA_CERTS: caFile};
}

test('--github: the keys that GitHub publishes, with those of a file', async ({scope}) => {
  const [published, own] = [await makeKey(scope), await makeKey(scope)];
  const bare = published.publicKey.split(' ').slice(0, 2).join(' ');
  const env = await gitHub(scope, {'/octocat.keys': `${bare}\n`, '/empty.keys': ''});
  const words = ['ssh', '--github', 'octocat', '--key', `${own.path}.pub`, '--json'];
  const {cli} = await startBehindRelay(scope, words, {env, stateDir: await safeFolder(scope)});
  const {address, login} = await cli.event('ready');
  expect(await logIn(scope, address, published, login?.knownHosts)).toBe(0);
  expect(await logIn(scope, address, own, login?.knownHosts)).toBe(0);
  expect(await logIn(scope, address, await makeKey(scope), login?.knownHosts)).toBe(255);
  await cli.stop();
  for (const [user, message] of [
    ['empty', 'GitHub publishes no keys of empty.'],
    ['nobody', 'There is no GitHub user nobody.'],
  ] as const) {
    const refused = await runCli(scope, ['ssh', '--github', user, '--json'], {env});
    expect(refused.cli.error).toMatchObject({code: 'KEY_SOURCE', message, exitCode: 8});
  }
});

test('--github without a network: a code, an exit code, a next step; nothing is started', async ({scope}) => {
  const env = {HTTPS_PROXY: `http://127.0.0.1:${await unusedPort()}`};
  const {cli, stdout, stderr, code} = await runCli(scope, ['ssh', '--github', 'octocat'], {env});
  expect({stdout, code}).toEqual({stdout: '', code: 8});
  expect(stderr).toMatch(/GitHub’s keys of octocat could not be fetched \(ECONNREFUSED\)/);
  expect(stderr).toMatch(/^code: KEY_SOURCE$/m);
  expect(stderr).toContain('--key');
  expect(readdirSync(cli.stateDir)).toEqual([]);
});

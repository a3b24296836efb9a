// Programs that do not speak HTTP, over --tcp: redis-cli, an ssh login, nc's half-close, a tutorial's echo server.

import {createHash} from 'node:crypto';
import {mkdir, writeFile} from 'node:fs/promises';
import {userInfo} from 'node:os';
import {expect} from 'vitest';
import {Child, run} from '../helpers/child.js';
import {startRelayProcess} from '../helpers/relay.js';
import {type Scope, unusedPort} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {replyAfterEndUpstream} from '../helpers/upstreams.js';

async function exposeTcp(scope: Scope, port: number) {
  const relay = await startRelayProcess(scope);
  const {ready} = await relay.expose(port, {flags: ['--tcp']});
  const {host, port: publicPort} = ready.tcp ?? {host: '', port: 0};
  expect(ready.address).toBe(`${host}:${publicPort}`);
  return {host, port: String(publicPort)};
}

test('redis-cli', async ({scope}) => {
  const port = await unusedPort();
  const redis = Child.start(scope, 'redis-server', [
    ...['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
    ...['--dir', await scope.tempDir('redis')],
  ]);
  await redis.line((line) => line.includes('Ready to accept connections'));
  const at = await exposeTcp(scope, port);
  const redisCli = (...args: string[]) => run(scope, 'redis-cli', ['-h', at.host, '-p', at.port, ...args]);
  expect((await redisCli('ping')).stdout).toBe('PONG\n');
  expect((await redisCli('set', 'key', 'x'.repeat(100_000))).stdout).toBe('OK\n');
  expect((await redisCli('strlen', 'key')).stdout).toBe('100000\n');
  // 20,000 commands in one pipe, each answered.
  const commands = Array.from({length: 20_000}, (_, i) => `SET k${i} v${i}\r\n`).join('');
  const piped = await run(scope, 'redis-cli', ['-h', at.host, '-p', at.port, '--pipe'], {input: commands});
  expect(piped.stdout).toContain('errors: 0, replies: 20000');
});

test('an ssh login', async ({scope}) => {
  const folder = await scope.tempDir('sshd');
  for (const key of ['host', 'user']) {
    const made = await run(scope, 'ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', `${folder}/${key}`]);
    expect(made.code).toBe(0);
  }
  const port = await unusedPort();
  const config = [
    ...[`Port ${port}`, 'ListenAddress 127.0.0.1', `HostKey ${folder}/host`, 'PidFile none', 'UsePAM no'],
    ...[`AuthorizedKeysFile ${folder}/user.pub`, 'StrictModes no', 'PasswordAuthentication no'],
    ...['PermitRootLogin prohibit-password', 'Subsystem sftp internal-sftp'],
  ];
  await writeFile(`${folder}/config`, `${config.join('\n')}\n`);
  // sshd changes its root to this folder before the login. Its service makes the folder, and the tests start no service.
  if (process.getuid?.() === 0) await mkdir('/run/sshd', {recursive: true, mode: 0o755});
  const sshd = Child.start(scope, '/usr/sbin/sshd', ['-D', '-e', '-f', `${folder}/config`]);
  await sshd.saidOnStderr(/listening on/);
  const at = await exposeTcp(scope, port);
  const ssh = (args: string[], input?: string) =>
    run(
      scope,
      'ssh',
      [
        ...['-F', 'none', '-i', `${folder}/user`, '-p', at.port, '-o', 'BatchMode=yes'],
        ...['-o', 'StrictHostKeyChecking=accept-new', '-o', `UserKnownHostsFile=${folder}/known`],
        ...[...args.slice(0, -1), `${userInfo().username}@${at.host}`, args.at(-1) ?? ''],
      ],
      input === undefined ? {} : {input},
    );
  const hello = await ssh(['echo logged in; exit 7']);
  expect(hello).toMatchObject({code: 7, stdout: 'logged in\n'});
  // A separate terminal with typed input.
  const shell = await ssh(['-tt', 'sh'], 'stty -echo; echo a$((20 + 3))z; tty; exit\n');
  expect(shell.stdout).toContain('a23z');
  expect(shell.stdout).toContain('/dev/pts/');
  // The end of stdin passes through: sha256sum answers only after it.
  const text = 'y'.repeat(3_000_000);
  const piped = await ssh(['sha256sum'], text);
  expect(piped.stdout.split(' ')[0]).toBe(createHash('sha256').update(text).digest('hex'));
});

test('nc ends its side and still gets the whole answer', async ({scope}) => {
  const at = await exposeTcp(scope, await replyAfterEndUpstream(scope));
  const nc = await run(scope, 'nc', ['-N', at.host, at.port], {input: 'x'});
  expect(nc).toMatchObject({code: 0, stdout: `${createHash('sha256').update('x').digest('hex')}\n`});
});

test('an echo server', async ({scope}) => {
  const echo = Child.start(scope, 'socat', ['-d', '-d', 'TCP-LISTEN:0,bind=127.0.0.1,fork', 'EXEC:cat']);
  const [, port] = await echo.saidOnStderr(/listening on AF=2 127\.0\.0\.1:(\d+)/);
  const at = await exposeTcp(scope, Number(port));
  const visitor = Child.start(scope, 'socat', ['-', `TCP:${at.host}:${at.port}`], {stdin: true});
  for (const word of ['one', 'two', 'three']) {
    visitor.stdin.write(`${word}\n`);
    expect(await visitor.line((line) => line === word)).toBe(word);
  }
  visitor.stdin.end();
  expect((await visitor.finished()).code).toBe(0);
});

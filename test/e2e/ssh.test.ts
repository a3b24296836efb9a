// `tunl ssh` with the real sshd: the printed line logs in, by a port and by the TLS name, as root and as a user.
import {existsSync} from 'node:fs';
import {chmod, copyFile, readFile, writeFile} from 'node:fs/promises';
import {userInfo} from 'node:os';
import {join} from 'node:path';
import {expect} from 'vitest';
import {Child, cleanEnv, run} from '../helpers/child.js';
import {entry, runCli, startCli} from '../helpers/cli.js';
import {safeFolder, until} from '../helpers/launching.js';
import {startBehindRelay} from '../helpers/programs.js';
import {startRelayProcess} from '../helpers/relay.js';
import {type Scope, unusedPort} from '../helpers/scope.js';
import {forOtherUser, type KeyFiles, makeKey, otherUser, sshFolder} from '../helpers/ssh.js';
import {test} from '../helpers/test.js';
import {httpUpstream} from '../helpers/upstreams.js';

/** A shell in which ssh, scp and sftp know this key and this host, and `tunl` is the built command. */
async function shellFor(scope: Scope, key: KeyFiles, knownHosts: string) {
  const folder = await sshFolder(scope, key, knownHosts);
  await writeFile(join(folder, 'tunl'), `#!/bin/sh\nexec '${process.execPath}' '${entry}' "$@"\n`, {
    mode: 0o755,
  });
  return (line: string) =>
    run(scope, '/bin/sh', ['-c', line], {env: {PATH: `${folder}:${cleanEnv().PATH}`, HOME: folder}});
}

test('by a port: login, scp, sftp, rsync; another key is refused', async ({scope}) => {
  const key = await makeKey(scope);
  const relay = await startRelayProcess(scope);
  const {cli} = await startBehindRelay(scope, ['ssh', '--key', `${key.path}.pub`, '--json'], {
    relay,
    stateDir: await safeFolder(scope),
  });
  const ready = await cli.event('ready');
  const user = userInfo().username;
  expect(ready.address).toBe(`ssh -p ${ready.tcp?.port} ${user}@localhost`);
  const {knownHosts = '', fingerprint = ''} = ready.login ?? {};
  expect(fingerprint).toMatch(/^SHA256:/);
  const shell = await shellFor(scope, key, knownHosts);
  expect(await shell(`${ready.address} 'id -un; exit 5'`)).toMatchObject({code: 5, stdout: `${user}\n`});
  const from = await scope.tempDir('from');
  const to = await scope.tempDir('to');
  await writeFile(join(from, 'file'), 'contents\n');
  const port = ready.tcp?.port;
  await shell(`scp -q -P ${port} ${from}/file ${user}@localhost:${to}/scp`);
  await shell(`echo "put ${from}/file ${to}/sftp" | sftp -q -P ${port} ${user}@localhost`);
  await shell(`rsync -a -e "ssh -p ${port}" ${from}/file ${user}@localhost:${to}/rsync`);
  for (const name of ['scp', 'sftp', 'rsync']) {
    expect(await readFile(join(to, name), 'utf8')).toBe('contents\n');
  }
  const stranger = await shellFor(scope, await makeKey(scope), knownHosts);
  const refused = await stranger(`${ready.address} true`);
  expect([refused.code, refused.stderr]).toEqual([
    255,
    expect.stringContaining('Permission denied (publickey)'),
  ]);
  const password = '-o PreferredAuthentications=password,keyboard-interactive -o BatchMode=no';
  const noPassword = await shell(`${ready.address} ${password} true`);
  expect([noPassword.code, noPassword.stderr]).toEqual([
    255,
    expect.stringContaining('Permission denied (publickey)'),
  ]);
  expect((await cli.stop('SIGINT')).code).toBe(0);
});

test('the steps of VS Code Remote: a script on stdin, one connection for many sessions, forwarding both ways', async ({
  scope,
}) => {
  const key = await makeKey(scope);
  const {cli} = await startBehindRelay(scope, ['ssh', '--key', `${key.path}.pub`, '--json'], {
    stateDir: await safeFolder(scope),
  });
  const ready = await cli.event('ready');
  const shell = await shellFor(scope, key, ready.login?.knownHosts ?? '');
  const folder = await scope.tempDir('remote');
  const ssh = ready.address;

  // The first step: a long script for a shell without a terminal, which reads it from standard input.
  const script = join(folder, 'install.sh');
  const filling = `# ${'x'.repeat(76)}\n`.repeat(3_000);
  await writeFile(script, `${filling}uname -s; echo "pid $$"; exit 3\n`);
  const installed = await shell(`${ssh} bash -s < ${script}`);
  expect(installed).toMatchObject({code: 3, stdout: expect.stringMatching(/^Linux\npid \d+\n$/)});

  // Then one lasting connection, with sessions, copies and forwards over it.
  const socket = join(folder, 'mux');
  const web = await httpUpstream(scope, 'a server beside the sshd');
  const [socks, back] = [await unusedPort(), await unusedPort()];
  const master = [
    ...['-o', 'ControlMaster=yes', '-o', `ControlPath=${socket}`, '-o', 'ControlPersist=no'],
    ...['-D', `127.0.0.1:${socks}`, '-R', `127.0.0.1:${back}:127.0.0.1:${web.port}`],
    ...['-L', `${folder}/local.sock:127.0.0.1:${web.port}`, '-o', 'ExitOnForwardFailure=yes'],
  ].join(' ');
  const connection = shell(`${ssh} -N ${master}`);
  const over = `ssh -o ControlPath=${socket} -o ControlMaster=no ${ssh.replace(/^ssh /, '')}`;
  await until(async () => (await shell(`${over} -O check`)).code === 0);
  const sessions = await Promise.all(
    Array.from({length: 8}, (_, i) => shell(`${over} 'echo session ${i}; sleep 0.2; id -un'`)),
  );
  expect(sessions.map(({stdout}) => stdout)).toEqual(
    sessions.map((_, i) => `session ${i}\n${userInfo().username}\n`),
  );
  const there = `http://127.0.0.1:${web.port}/`;
  for (const way of [
    `curl -sS --noproxy '' --socks5-hostname 127.0.0.1:${socks} ${there}`,
    `curl -sS --unix-socket ${folder}/local.sock ${there}`,
    `${over} curl -sS http://127.0.0.1:${back}/`,
    // Without a listener here: a channel on standard input and output.
    `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | ${ssh} -W 127.0.0.1:${web.port} | tail -n 1`,
  ]) {
    expect(await shell(way), way).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('beside the sshd'),
    });
  }
  await shell(`${over} -O exit`);
  await connection;
  expect((await cli.stop()).code).toBe(0);
});

test('by the TLS name: the printed line, and `tunl connect` as its ProxyCommand', async ({scope}) => {
  const key = await makeKey(scope);
  const relay = await startRelayProcess(scope);
  const {cli} = await startBehindRelay(scope, ['ssh', '--key', `${key.path}.pub`, '--tls', '--json'], {
    relay,
    stateDir: await safeFolder(scope),
  });
  const ready = await cli.event('ready');
  expect(ready.tcp).toBeUndefined();
  const {knownHosts = ''} = ready.login ?? {};
  const shell = await shellFor(scope, key, knownHosts);
  const {host = '', port = 0} = ready.tls ?? {};
  // Without a resolver for names below .localhost, the printed line gets the address as well.
  const line =
    (await run(scope, 'getent', ['hosts', host])).code === 0
      ? ready.address
      : ready.address.replace('-connect %h:', '-connect localhost:');
  expect(await shell(`${line} 'echo by $((6 * 7))'`)).toMatchObject({code: 0, stdout: 'by 42\n'});
  const proxy = `tunl connect %h:${port} --ca-file ${relay.caFile}`;
  const to = `-o ProxyCommand='${proxy}' ${userInfo().username}@${host}`;
  expect(await shell(`ssh ${to} 'cat; echo after the end' </etc/hostname`)).toMatchObject({
    code: 0,
    stdout: `${await readFile('/etc/hostname', 'utf8')}after the end\n`,
  });
  await cli.stop();
});

test('by the TLS name at the relay of a login: the printed line has the CA of that relay', async ({
  scope,
}) => {
  const key = await makeKey(scope);
  const relay = await startRelayProcess(scope);
  const stateDir = await safeFolder(scope);
  const files = ['--ca-file', relay.caFile, '--token-file', relay.tokenFile];
  const login = await runCli(scope, ['login', relay.url, ...files], {stateDir});
  expect(login.code).toBe(0);
  for (const [words, env] of [
    [[], {}],
    [['--context', new URL(relay.url).host], {}],
    [[], {TUNL_RELAY: relay.url}],
  ] as const) {
    const cli = await startCli(scope, ['ssh', '--key', `${key.path}.pub`, '--tls', '--json', ...words], {
      stateDir,
      env,
    });
    expect((await cli.event('ready')).address).toContain(` -CAfile ${relay.caFile} `);
    await cli.stop();
  }
  expect(existsSync(join(stateDir, 'ca'))).toBe(false);
});

test('through the relay inside the process: the printed line works unchanged, whatever the resolver knows', async ({
  scope,
}) => {
  const key = await makeKey(scope);
  const cli = await startCli(scope, ['ssh', '--key', `${key.path}.pub`, '--tls', '--json'], {
    stateDir: await safeFolder(scope),
  });
  const ready = await cli.event('ready');
  const {knownHosts = ''} = ready.login ?? {};
  // Under the tunnel's own name: people have other host keys for localhost.
  expect(knownHosts).toMatch(/^[a-z2-7]{26}\.tunl\.localhost /);
  const shell = await shellFor(scope, key, knownHosts);
  expect(await shell(`${ready.address} 'echo by $((6 * 7))'`)).toMatchObject({code: 0, stdout: 'by 42\n'});
  await cli.stop();
});

test('as an ordinary user', async ({scope}) => {
  const key = await makeKey(scope);
  const user = await otherUser(scope);
  const at = await forOtherUser(scope, user);
  const relay = await startRelayProcess(scope);
  const keyFile = join(user.home, 'key.pub');
  await copyFile(`${key.path}.pub`, keyFile);
  await chmod(keyFile, 0o644);
  const caFile = join(user.home, 'ca.pem');
  await copyFile(relay.caFile, caFile);
  await chmod(caFile, 0o644);
  const [setpriv = '', ...as] = user.as;
  const words = [...as, at.node, join(at.root, 'bin/run.js'), 'ssh', '--key', keyFile];
  const child = Child.start(scope, setpriv, words, {
    cwd: user.home,
    env: {...relay.env, HOME: user.home, TUNL_CA_FILE: caFile},
  });
  const line = await child.line();
  expect(line).toMatch(new RegExp(`^ssh -p \\d+ ${user.name}@localhost$`));
  const [, knownHosts = ''] = await child.saidOnStderr(/^known_hosts: (.+)$/m);
  const shell = await shellFor(scope, key, knownHosts);
  expect(await shell(`${line} id -un`)).toMatchObject({code: 0, stdout: `${user.name}\n`});
  expect((await child.stop()).code).toBe(0);
});

test('unusable keys', async ({scope}) => {
  const folder = await scope.tempDir('keys');
  const key = await makeKey(scope);
  await writeFile(join(folder, 'empty'), '');
  await writeFile(join(folder, 'dos'), `${key.publicKey}\r\n`);
  for (const [file, code, exitCode] of [
    [key.path, 'KEY_PRIVATE', 8],
    [join(folder, 'empty'), 'KEY_INVALID', 8],
    [join(folder, 'nowhere'), 'FILE_UNREADABLE', 8],
  ] as const) {
    const {cli} = await runCli(scope, ['ssh', '--key', file, '--json']);
    expect(cli.error).toMatchObject({code, exitCode});
  }
  expect((await runCli(scope, ['ssh', '--json'])).cli.error).toMatchObject({code: 'USAGE'});
  const {cli} = await startBehindRelay(scope, ['ssh', '--key', join(folder, 'dos')], {
    stateDir: await safeFolder(scope),
  });
  expect(await cli.line()).toMatch(/^ssh -p/);
});

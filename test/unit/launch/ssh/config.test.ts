// Lines for sshd and for visitors, in special cases.
import {chmod, chown, mkdir, readFile, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect} from 'vitest';
import {isLocked, strictModesHold} from '../../../../src/lib/launch/ssh/account.js';
import {knownHostsLine, sessionEnv, sshdConfig, sshLine} from '../../../../src/lib/launch/ssh/config.js';
import {hostKey} from '../../../../src/lib/launch/ssh/host-key.js';
import {run} from '../../../helpers/child.js';
import {plainEnv} from '../../../helpers/launching.js';
import {test} from '../../../helpers/test.js';

const side = (port: number) => ({host: 'r1.example.test', port});

test('the line to copy', () => {
  expect(sshLine({user: 'dev', public: side(20417), via: 'tcp'})).toBe('ssh -p 20417 dev@r1.example.test');
  expect(sshLine({user: 'dev', public: side(22), via: 'tcp'})).toBe('ssh dev@r1.example.test');
  expect(sshLine({user: 'dev', public: side(443), via: 'tls', caFile: "/a b/it's"})).toBe(
    "ssh -o ProxyCommand='openssl s_client -quiet -verify_quiet -verify_return_error " +
      "-CAfile '\\''/a b/it'\\''\\'\\'''\\''s'\\'' -verify_hostname %h -servername %h -connect %h:443' dev@r1.example.test",
  );
  const local = {host: 'localhost', port: 61000, name: 'demo.tunl.localhost'};
  expect(sshLine({user: 'dev', public: local, via: 'tls'})).toContain(
    "-verify_hostname %h -servername %h -connect localhost:61000' dev@demo.tunl.localhost",
  );
});

test('the known_hosts line', () => {
  const key = {type: 'ssh-ed25519', data: 'AAAA'};
  expect(knownHostsLine(side(20417), 'tcp', key)).toBe('[r1.example.test]:20417 ssh-ed25519 AAAA');
  expect(knownHostsLine(side(22), 'tcp', key)).toBe('r1.example.test ssh-ed25519 AAAA');
  expect(knownHostsLine(side(443), 'tls', key)).toBe('r1.example.test ssh-ed25519 AAAA');
});

test('the environment of sessions: the variables that they need, and no others', () => {
  const env = {
    PATH: '/a:/b',
    VIRTUAL_ENV: '/venv',
    CONDA_PREFIX: '/conda',
    CUDA_HOME: '/cuda',
    NVIDIA_VISIBLE_DEVICES: 'all',
    TUNL_TOKEN: 'x',
    AWS_SECRET_ACCESS_KEY: 'x',
    PYTHONPATH: 'two\nlines',
  };
  expect(sessionEnv(env).map(([name]) => name)).toEqual([
    'PATH',
    'VIRTUAL_ENV',
    'CONDA_PREFIX',
    'CUDA_HOME',
    'NVIDIA_VISIBLE_DEVICES',
  ]);
});

test('sshd reads quotes, backslashes and spaces back unchanged', async ({scope}) => {
  const stateDir = join(await scope.tempDir(), 'with space "and" quotes');
  const host = await hostKey(stateDir, plainEnv());
  const config = sshdConfig({
    port: 2222,
    user: 'dev',
    hostKeyPath: host.path,
    authorizedKeysPath: join(stateDir, 'keys'),
    strictModes: true,
    usePam: false,
    penalties: false,
    env: [['PATH', 'a "b" \\c']],
  });
  const file = join(stateDir, 'config');
  await writeFile(file, config);
  const told = await run(scope, '/bin/sh', [
    '-c',
    '[ -d /run/sshd ] || mkdir /run/sshd; exec /usr/sbin/sshd -T -f "$1"',
    'sh',
    file,
  ]);
  expect(told.stderr).toBe('');
  expect(told.stdout).toContain(`hostkey ${host.path}\n`);
  expect(told.stdout).toContain('setenv PATH=a "b" \\c\n');
  for (const line of ['passwordauthentication no', 'permitrootlogin without-password', 'allowusers dev']) {
    expect(told.stdout).toContain(line);
  }
});

test('one host key, however many processes start at once', async ({scope}) => {
  const stateDir = await scope.tempDir();
  const made = await Promise.all(Array.from({length: 5}, () => hostKey(stateDir, plainEnv())));
  expect(new Set(made.map((key) => key.fingerprint)).size).toBe(1);
  const path = made[0]?.path ?? '';
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  const {stdout} = await run(scope, 'ssh-keygen', ['-y', '-f', path]);
  expect((await readFile(`${path}.pub`, 'utf8')).split(' ')[1]).toBe(stdout.split(' ')[1]);
});

test('an invalid host key file is an error, not a new key', async ({scope}) => {
  const stateDir = await scope.tempDir();
  const {path} = await hostKey(stateDir, plainEnv());
  await writeFile(`${path}.pub`, 'broken');
  await expect(hostKey(stateDir, plainEnv())).rejects.toMatchObject({code: 'STATE_DIR'});
  await expect(hostKey(join(stateDir, 'other'), {PATH: '/nowhere'})).rejects.toMatchObject({
    code: 'PROGRAM_MISSING',
  });
});

test('a locked account', async ({scope}) => {
  const shadow = join(await scope.tempDir(), 'shadow');
  await writeFile(shadow, 'root:*:1::\nlocked:!$y$x:1::\nnew:!:1::\nopen:$y$x:1::\n');
  const locked = await Promise.all(
    ['root', 'locked', 'new', 'open', 'none'].map((user) => isLocked(user, shadow)),
  );
  expect(locked).toEqual([false, true, true, false, false]);
});

test('folders above the keys', async ({scope}) => {
  const folder = await scope.tempDir();
  const uid = process.getuid?.() ?? 0;
  // /tmp is sticky: safe, but not by sshd's own rule.
  expect(await strictModesHold(folder, uid)).toBe(false);
  expect(await strictModesHold('/usr/lib', uid)).toBe(true);
  const inner = join(folder, 'inner');
  await mkdir(inner, {mode: 0o700});
  await chmod(folder, 0o777);
  await expect(strictModesHold(inner, uid)).rejects.toMatchObject({code: 'STATE_DIR'});
  await chmod(folder, 0o770);
  await expect(strictModesHold(inner, uid)).rejects.toMatchObject({code: 'STATE_DIR'});
  // Sticky: others may add files and replace none.
  await chmod(folder, 0o1777);
  expect(await strictModesHold(inner, uid)).toBe(false);
  await chmod(folder, 0o700);
  expect(await strictModesHold(inner, uid)).toBe(false);
});

test('a folder of another user above the keys', async ({scope, skip}) => {
  const folder = await scope.tempDir();
  if (process.getuid?.() === 0) await chown(folder, 12_345, 12_345);
  else skip();
  await expect(strictModesHold(folder, 0)).rejects.toMatchObject({code: 'STATE_DIR'});
  expect(await strictModesHold(folder, 12_345)).toBe(false);
});

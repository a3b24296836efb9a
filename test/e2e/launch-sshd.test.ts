// The real sshd: the printed line logs in, as root and as an ordinary user; nobody else can log in.
import {chmod, mkdir, readFile, writeFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {connect} from 'node:net';
import {dirname, join} from 'node:path';
import {createServer as createTlsServer} from 'node:tls';
import {generate} from 'selfsigned';
import {expect} from 'vitest';
import {freePort} from '../../src/lib/launch/ports.js';
import type {LoginFact} from '../../src/lib/launch/program.js';
import {type SshdOptions, sshd} from '../../src/lib/launch/programs/sshd.js';
import type {RunningProgram} from '../../src/lib/launch/running.js';
import {keysFromFile} from '../../src/lib/launch/ssh/key-sources.js';
import {Child, cleanEnv, run} from '../helpers/child.js';
import {childrenOf, isAlive, launchIn, plainEnv, root, safeFolder, until} from '../helpers/launching.js';
import type {Scope} from '../helpers/scope.js';
import {forOtherUser, type KeyFiles, makeKey, otherUser, sshFolder} from '../helpers/ssh.js';
import {test} from '../helpers/test.js';

interface Started {
  program: RunningProgram;
  port: number;
  /** Runs a command line with ssh, scp and sftp set up for this key and the printed known_hosts line. */
  shell(line: string, more?: {key?: KeyFiles}): ReturnType<typeof run>;
}

async function start(scope: Scope, key: KeyFiles, options: Partial<SshdOptions> = {}): Promise<Started> {
  const stateDir = options.stateDir ?? (await safeFolder(scope));
  const {keys} = await keysFromFile(`${key.path}.pub`);
  const port = await freePort();
  const env = plainEnv({VIRTUAL_ENV: '/opt/venv "x"', SECRET_TOKEN: 'hidden'});
  const program = await launchIn(scope, await sshd({keys, stateDir, env, ...options}), {
    stateDir,
    port,
    public: {host: '127.0.0.1', port},
    env,
  });
  await program.ready;
  return {program, port, shell: shellFor(scope, key, program.login)};
}

const fact = (login: readonly LoginFact[], name: string) =>
  login.find((one) => one.name === name)?.value ?? '';

function shellFor(scope: Scope, key: KeyFiles, login: readonly LoginFact[]): Started['shell'] {
  return async (line, more = {}) => {
    const folder = await sshFolder(scope, more.key ?? key, fact(login, 'knownHosts'));
    return run(scope, '/bin/sh', ['-c', line], {env: {PATH: `${folder}:${cleanEnv().PATH}`}});
  };
}

test('as root: login, files, forwarding; only the key gets in', async ({scope}) => {
  const key = await makeKey(scope);
  const {program, port, shell} = await start(scope, key);
  expect(program.address).toBe(`ssh -p ${port} root@127.0.0.1`);

  const inside = await shell(
    `${program.address} 'id -un; echo "$VIRTUAL_ENV"; echo "[$SECRET_TOKEN]"; exit 5'`,
  );
  expect(inside).toMatchObject({code: 5, stdout: 'root\n/opt/venv "x"\n[]\n'});

  // ssh-keygen shows the same fingerprint.
  const hosts = join(await scope.tempDir(), 'hosts');
  await writeFile(hosts, fact(program.login, 'knownHosts'));
  expect((await run(scope, 'ssh-keygen', ['-lf', hosts])).stdout).toContain(
    fact(program.login, 'fingerprint'),
  );

  const from = await scope.tempDir('from');
  const to = await scope.tempDir('to');
  await writeFile(join(from, 'file'), 'contents\n');
  const at = `root@127.0.0.1`;
  expect((await shell(`scp -q -P ${port} ${from}/file ${at}:${to}/scp`)).stderr).toBe('');
  expect((await shell(`echo "put ${from}/file ${to}/sftp" | sftp -q -P ${port} ${at}`)).code).toBe(0);
  expect((await shell(`rsync -a -e "ssh -p ${port}" ${from}/file ${at}:${to}/rsync`)).stderr).toBe('');
  for (const name of ['scp', 'sftp', 'rsync']) {
    expect(await readFile(join(to, name), 'utf8')).toBe('contents\n');
  }

  const web = await scope.listen(createServer((_, answer) => answer.end('forwarded')));
  const local = await freePort();
  const show = `node -e 'fetch("http://127.0.0.1:${local}/").then((r) => r.text()).then(console.log)'`;
  const forward = `ssh -f -N -o ExitOnForwardFailure=yes -L ${local}:127.0.0.1:${web} -p ${port} ${at}`;
  expect(await shell(`${forward} >/dev/null 2>&1 && ${show}`)).toMatchObject({
    code: 0,
    stdout: 'forwarded\n',
  });

  const other = await shell(`${program.address} true`, {key: await makeKey(scope)});
  expect([other.code, other.stderr]).toEqual([255, expect.stringContaining('Permission denied (publickey)')]);
  const password = await shell(
    `ssh -o PreferredAuthentications=password,keyboard-interactive -p ${port} ${at} true`,
  );
  expect([password.code, password.stderr]).toEqual([
    255,
    expect.stringContaining('Permission denied (publickey)'),
  ]);
  const nobody = await shell(`ssh -p ${port} daemon@127.0.0.1 true`);
  expect(nobody.code).toBe(255);

  // Open sessions end with it, although each is a separate process group: the forwarding one and this.
  await until(() => childrenOf(program.pid).length === 1);
  const sessions = childrenOf(program.pid);
  const open = shell(`${program.address} -N`);
  await until(() => childrenOf(program.pid).length === 2);
  sessions.push(...childrenOf(program.pid));
  await program.stop();
  expect(sessions.filter(isAlive)).toEqual([]);
  expect((await open).code).toBe(255);
});

test('the host key stays the same after a restart', async ({scope}) => {
  const key = await makeKey(scope);
  const stateDir = await safeFolder(scope);
  const first = await start(scope, key, {stateDir});
  await first.program.stop();
  const second = await start(scope, key, {stateDir});
  expect(fact(second.program.login, 'fingerprint')).toBe(fact(first.program.login, 'fingerprint'));
});

test('the last of 5,000 keys logs in', async ({scope}) => {
  const key = await makeKey(scope);
  const others = Array.from({length: 4_999}, (_, i) => {
    const head = Buffer.from('0000000b7373682d6564323535313900000020', 'hex');
    const body = Buffer.alloc(32, i & 255);
    body.writeUInt32BE(i);
    return `ssh-ed25519 ${Buffer.concat([head, body]).toString('base64')} key-${i}`;
  });
  const file = join(await scope.tempDir(), 'authorized_keys');
  await writeFile(file, `${[...others, key.publicKey].join('\r\n')}\r\n`);
  const {keys} = await keysFromFile(file);
  expect(keys).toHaveLength(5_000);
  const {program, shell} = await start(scope, key, {keys});
  expect(await shell(`${program.address} echo in`)).toMatchObject({code: 0, stdout: 'in\n'});
});

test('options of an authorized_keys file apply', async ({scope}) => {
  const key = await makeKey(scope);
  const file = join(await scope.tempDir(), 'authorized_keys');
  await writeFile(file, `restrict,command="echo only this" ${key.publicKey}\n`);
  const {program, shell} = await start(scope, key, {keys: (await keysFromFile(file)).keys});
  expect(await shell(`${program.address} id`)).toMatchObject({code: 0, stdout: 'only this\n'});
});

test('below a sticky folder such as /tmp, but not below one that others can change', async ({scope}) => {
  const key = await makeKey(scope);
  const stateDir = await scope.tempDir('state');
  const {program, shell} = await start(scope, key, {stateDir});
  expect((await shell(`${program.address} true`)).code).toBe(0);

  const open = join(await scope.tempDir('open'), 'state');
  await mkdir(open);
  await chmod(dirname(open), 0o777);
  await expect(start(scope, key, {stateDir: open})).rejects.toMatchObject({
    code: 'STATE_DIR',
    message: expect.stringContaining(dirname(open)),
  });
});

test('by the TLS name: the printed line speaks TLS through openssl', async ({scope}) => {
  const key = await makeKey(scope);
  const folder = await scope.tempDir('ca');
  const caFile = join(folder, 'ca file.pem');
  const made = await generate([{name: 'commonName', value: 'localhost'}], {
    keyType: 'ec',
    extensions: [{name: 'subjectAltName', altNames: [{type: 2, value: 'localhost'}]}],
  });
  await writeFile(caFile, made.cert);
  const {program, port} = await start(scope, key);
  const tls = createTlsServer({key: made.private, cert: made.cert}, (visitor) => {
    const upstream = connect(port, '127.0.0.1');
    visitor.pipe(upstream).pipe(visitor);
    for (const socket of [visitor, upstream]) socket.on('error', () => socket.destroy());
  });
  const tlsPort = await scope.listen(tls);
  const side = {host: 'localhost', port: tlsPort, url: `https://localhost:${tlsPort}`};
  const {keys} = await keysFromFile(`${key.path}.pub`);
  const stateDir = await safeFolder(scope);
  const byTls = await sshd({keys, stateDir, via: 'tls', caFile});
  const site = {public: side, port, folder, found: {bin: '', lead: [], kind: ''}, env: {}, uid: 0};
  // The host key is that of the running sshd.
  const known = fact(program.login, 'knownHosts').split(' ').slice(1).join(' ');
  const shell = shellFor(scope, key, [{...(program.login[1] as LoginFact), value: `localhost ${known}`}]);
  expect(fact(byTls.login(site), 'knownHosts')).toMatch(/^localhost ssh-ed25519 /);
  expect(await shell(`${byTls.address(site)} echo by TLS`)).toMatchObject({code: 0, stdout: 'by TLS\n'});
});

/** Starts sshd in a separate process, whose command is `before` and Node; returns how visitors get in. */
async function startElsewhere(
  scope: Scope,
  before: string[],
  env: Record<string, string>,
  at: {node: string; root: string},
) {
  const key = await makeKey(scope);
  const folder = await scope.tempDir('launcher');
  const script = join(folder, 'launcher.mjs');
  await chmod(folder, 0o755);
  await writeFile(
    script,
    `import {launch} from ${JSON.stringify(join(at.root, 'src/lib/launch/launch.ts'))};
import {sshd} from ${JSON.stringify(join(at.root, 'src/lib/launch/programs/sshd.ts'))};
import {freePort} from ${JSON.stringify(join(at.root, 'src/lib/launch/ports.ts'))};
import {parseKeyList} from ${JSON.stringify(join(at.root, 'src/lib/launch/ssh/key-list.ts'))};
process.on('uncaughtException', ({code, message, next}) => {
  console.error(code, message, next);
  process.exitCode = 1;
});
const {keys} = parseKeyList(${JSON.stringify(key.publicKey)}, {source: 'test', allowOptions: false});
const stateDir = process.env.STATE;
const port = await freePort();
const program = await launch(await sshd({keys, stateDir}), {public: {host: '127.0.0.1', port}, port, stateDir});
await program.ready;
process.once('SIGTERM', () => program.stop());
console.log(JSON.stringify({address: program.address, login: program.login}));
`,
  );
  const hook = join(at.root, 'test/helpers/ts-hook.js');
  const [first = '', ...rest] = [...before, at.node, '--import', hook, script];
  const child = Child.start(scope, first, rest, {env, cwd: '/'});
  const told: {address: string; login: LoginFact[]} = JSON.parse(await child.line());
  return {child, address: told.address, shell: shellFor(scope, key, told.login)};
}

test('as an ordinary user', async ({scope}) => {
  const user = await otherUser(scope);
  const at = await forOtherUser(scope, user);
  const env = {HOME: user.home, STATE: join(user.home, '.local/state/tunl')};
  const {address, shell} = await startElsewhere(scope, user.as, env, at);
  expect(address).toContain(` ${user.name}@127.0.0.1`);
  expect(await shell(`${address} 'id -un; pwd'`)).toMatchObject({
    code: 0,
    stdout: `${user.name}\n${user.home}\n`,
  });
  const other = await shell(`${address} true`, {key: await makeKey(scope)});
  expect(other.code).toBe(255);
});

/** A command line that runs a command with other files in place of the machine's own. */
const withMounts = (mounts: string) => [
  'unshare',
  '--mount',
  '/bin/sh',
  '-c',
  `${mounts} && exec "$@"`,
  'sh',
];
const atRoot = {node: process.execPath, root};

test('as root without /run/sshd', async ({scope}) => {
  const emptyRun = withMounts('mount -t tmpfs none /run');
  const {address, shell} = await startElsewhere(scope, emptyRun, {STATE: await safeFolder(scope)}, atRoot);
  expect(await shell(`${address} id -un`)).toMatchObject({code: 0, stdout: 'root\n'});
});

test('as root with a locked account: by PAM where sshd has it, otherwise an error that says what to do', async ({
  scope,
}) => {
  const shadow = join(await scope.tempDir('shadow'), 'shadow');
  const locked = (await readFile('/etc/shadow', 'utf8')).replace(/^root:[^:]*/m, 'root:!$y$locked');
  await writeFile(shadow, locked, {mode: 0o600});
  const lockedRoot = `mount --bind ${shadow} /etc/shadow`;
  const {address, shell} = await startElsewhere(
    scope,
    withMounts(lockedRoot),
    {STATE: await safeFolder(scope)},
    atRoot,
  );
  expect(await shell(`${address} id -un`)).toMatchObject({code: 0, stdout: 'root\n'});

  const noPam = withMounts(`${lockedRoot} && mount -t tmpfs none /etc/pam.d`);
  const refused = startElsewhere(scope, noPam, {STATE: await safeFolder(scope)}, atRoot);
  await expect(refused).rejects.toThrow(/ACCOUNT_LOCKED.*usermod -p '\*' root/s);
});

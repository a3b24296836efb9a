// Programs that are missing or misbehave: a code, an exit code, a next step, and nothing is left.
import {readdirSync} from 'node:fs';
import {chmod, mkdir, writeFile} from 'node:fs/promises';
import {createServer} from 'node:net';
import {dirname, join} from 'node:path';
import {expect} from 'vitest';
import {ERRORS, type ErrorCode} from '../../src/lib/core/errors.js';
import {MiB} from '../helpers/bytes.js';
import {runCli} from '../helpers/cli.js';
import {fakeProgram, installed, isAlive, safeFolder, until, withArgument} from '../helpers/launching.js';
import {atMost} from '../helpers/metric.js';
import {startBehindRelay} from '../helpers/programs.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import {type Scope, unusedPort} from '../helpers/scope.js';
import {makeKey} from '../helpers/ssh.js';
import {test} from '../helpers/test.js';
import {curl} from '../helpers/visitors.js';

/** A PATH with nothing but the Node that runs the tests. */
const bare = {PATH: dirname(process.execPath)};

/** Runs the command to its end; expects this one error, and no folder of a launch. */
async function fails(
  scope: Scope,
  relay: RelayProcess,
  words: readonly string[],
  code: ErrorCode,
  env: Record<string, string> = {},
) {
  const end = words.includes('--') ? words.indexOf('--') : words.length;
  const {cli, stderr, ...exit} = await runCli(scope, words.toSpliced(end, 0, '--json'), {
    env: {...relay.env, ...env},
  });
  const {error} = cli;
  expect(error, stderr).toMatchObject({code, exitCode: ERRORS[code].exitCode});
  expect(exit.code).toBe(ERRORS[code].exitCode);
  expect(cli.events).toHaveLength(1);
  const left = readdirSync(cli.stateDir, {recursive: true, encoding: 'utf8'}).filter((path) =>
    path.startsWith('run/'),
  );
  expect(left).toEqual([]);
  return error as NonNullable<typeof error>;
}

test('a program that is not installed: the error says what to install', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const folder = await scope.tempDir();
  for (const [words, next] of [
    [['jupyter'], 'pip install -U jupyterlab'],
    [['code-server', folder], 'npm install -g code-server'],
    [['terminal', '--bin', '/nowhere/ttyd'], '--bin'],
    [['expose', '--', 'no-such-program'], 'Check the spelling'],
    [['expose', '--', 'npm run dev'], 'separate words'],
    [['jupyter', '--bin', '/nowhere/jupyter-lab'], '--bin'],
  ] as const) {
    expect((await fails(scope, relay, words, 'PROGRAM_MISSING', bare)).next).toContain(next);
  }
  const {publicKey} = await makeKey(scope);
  const key = join(folder, 'key.pub');
  await writeFile(key, publicKey);
  await fails(scope, relay, ['ssh', '--key', key, '--bin', '/nowhere/sshd'], 'PROGRAM_MISSING');
  const mute = await fails(scope, relay, ['ssh', '--key', key, '--bin', '/bin/false'], 'PROGRAM_CONFIG');
  expect(mute).toMatchObject({
    message: 'sshd does not accept its configuration',
    next: expect.stringContaining('/bin/false is an sshd'),
  });
});

test('a Jupyter that is too old: the error has its version and the required one', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const bin = join(await scope.tempDir('venv'), 'bin');
  await mkdir(bin);
  await writeFile(join(bin, 'jupyter-lab'), '#!/bin/sh\necho "unrecognized arguments" >&2; exit 2\n', {
    mode: 0o755,
  });
  await writeFile(join(bin, 'python3'), '#!/bin/sh\necho 1.24.0\n', {mode: 0o755});
  const {message} = await fails(scope, relay, ['jupyter'], 'PROGRAM_TOO_OLD', {VIRTUAL_ENV: dirname(bin)});
  expect(message).toMatch(/is version 1\.24\.0; 2\.0 or newer is needed/);
});

test('a program that dies, never answers, goes into the background, or uses another port', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const [port, other] = [await unusedPort(), await unusedPort()];
  const script = await fakeProgram(
    scope,
    `if (argv[0] === 'dies') { console.error('no such table: users'); process.exit(4); }
if (argv[0] === 'never') setInterval(() => {}, 1000);
if (argv[0] === 'leaves') spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', import.meta.filename], {detached: true, stdio: 'ignore'}).unref();
if (argv[0] === 'elsewhere') await listen(Number(argv[1]));`,
  );
  const serve = (...args: string[]) => ['--', process.execPath, script, ...args];
  const dead = await fails(scope, relay, ['expose', String(port), ...serve('dies')], 'PROGRAM_DIED');
  expect(dead.message).toContain('exit code 4 before it answered. Its last lines:\n  no such table: users');
  const late = ['expose', String(port), '--ready-timeout', '1s'];
  const never = await fails(scope, relay, [...late, ...serve('never')], 'PROGRAM_NOT_READY');
  expect(never.message).toContain(`opened no port ${port} within 1 s. It printed nothing.`);
  await fails(scope, relay, ['expose', String(port), ...serve('leaves')], 'PROGRAM_BACKGROUND');
  const patient = ['expose', String(port), '--ready-timeout', '6s'];
  const elsewhere = await fails(
    scope,
    relay,
    [...patient, ...serve('elsewhere', String(other))],
    'PROGRAM_OTHER_PORT',
  );
  expect(elsewhere.message).toContain(`listens on port ${other}, not on ${port}`);
  await until(() => withArgument(script).length === 0);
});

test('a port in use, a missing folder, nothing after `--`', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const port = String(await scope.listen(createServer()));
  await fails(scope, relay, ['expose', port, '--', process.execPath], 'PROGRAM_PORT_TAKEN');
  const missing = join(await scope.tempDir('folder'), 'missing');
  await fails(scope, relay, ['jupyter', '--dir', missing, '--bin', installed.jupyterLab], 'FOLDER_MISSING');
  await fails(scope, relay, ['code-server', missing, '--bin', installed.codeServer], 'FOLDER_MISSING');
  await fails(
    scope,
    relay,
    ['jupyter', '--dir', '/etc/passwd', '--bin', installed.jupyterLab],
    'FOLDER_MISSING',
  );
  const {next} = await fails(scope, relay, ['expose', '--'], 'USAGE');
  expect(next).toContain('leave `--` out');
  await fails(scope, relay, ['expose', '8000', '--'], 'USAGE');
  await fails(scope, relay, ['expose', 'example.net:80', '--', 'sh'], 'USAGE');
  await fails(scope, relay, ['expose', '--ready-path', 'health', '--', 'sh'], 'OPTION_INVALID');
});

test('no relay: the reason, also when the program started beside it or waited for it; nothing is left', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const gone = {TUNL_RELAY: `https://r1.localhost:${await unusedPort()}`};
  const script = await fakeProgram(scope, 'await listen(Number(argv[0]));');
  const key = await makeKey(scope);
  const stateDir = await safeFolder(scope);
  await fails(scope, relay, ['terminal', '--bin', installed.gotty, '--', '/bin/sh'], 'RELAY_REFUSED', gone);
  await fails(scope, relay, ['expose', '--', process.execPath, script, '{port}'], 'RELAY_REFUSED', gone);
  const {cli} = await runCli(scope, ['ssh', '--key', `${key.path}.pub`, '--json'], {env: gone, stateDir});
  expect(cli.error?.code).toBe('RELAY_REFUSED');
  expect(withArgument(stateDir)).toEqual([]);
  expect(withArgument(script)).toEqual([]);
});

test('5,000 keys, with DOS line ends: the address comes as usual', async ({scope}) => {
  const keys = Array.from({length: 5_000}, (_, i) => {
    const head = Buffer.from('0000000b7373682d6564323535313900000020', 'hex');
    const body = Buffer.alloc(32, i & 255);
    body.writeUInt32BE(i);
    return `ssh-ed25519 ${Buffer.concat([head, body]).toString('base64')} key-${i}`;
  });
  const file = join(await scope.tempDir('keys'), 'authorized_keys');
  await writeFile(file, `${keys.join('\r\n')}\r\n`);
  const {cli} = await startBehindRelay(scope, ['ssh', '--key', file], {stateDir: await safeFolder(scope)});
  expect(await cli.line()).toMatch(/^ssh -p/);
});

test('a state folder in which other users could change the keys', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const stateDir = await scope.tempDir('open');
  await chmod(stateDir, 0o777);
  const key = await makeKey(scope);
  const {cli} = await runCli(scope, ['ssh', '--key', `${key.path}.pub`, '--json'], {
    env: relay.env,
    stateDir,
  });
  expect(cli.error).toMatchObject({code: 'STATE_DIR', message: expect.stringContaining(stateDir)});
});

test('a program that ignores SIGTERM is killed after its grace period, with its children', async ({
  scope,
}) => {
  const script = await fakeProgram(
    scope,
    `process.on('SIGTERM', () => {});
spawn('/bin/sh', ['-c', 'trap "" TERM; while :; do sleep 1; done', import.meta.filename], {stdio: 'ignore'});
await listen(Number(argv[0]));`,
  );
  const {cli} = await startBehindRelay(scope, ['expose', '--', process.execPath, script, '{port}']);
  await cli.line();
  const pids = withArgument(script).filter((pid) => pid !== cli.pid);
  expect(pids).toHaveLength(2);
  expect((await cli.stop('SIGINT')).code).toBe(0);
  expect(pids.filter(isAlive)).toEqual([]);
});

test('a flood of output that nobody reads: visitors are served, memory stays flat, and tunl says how much it dropped', async ({
  scope,
}) => {
  const script = await fakeProgram(
    scope,
    `const block = Buffer.from(('x'.repeat(99) + '\\n').repeat(10_000));
const flood = async (blocks) => { for (let i = 0; i < blocks; i++) await new Promise((r) => process.stdout.write(block, r)); };
await listen(Number(argv[0]), (q, r) => flood(Number(q.url.slice(1))).then(() => r.end('poured')));`,
  );
  const {cli, relay} = await startBehindRelay(scope, [
    'expose',
    '--json',
    '--',
    process.execPath,
    script,
    '{port}',
  ]);
  const {address} = await cli.event('ready');
  const pour = async (blocks: number) => {
    expect((await curl(scope, relay.caFile, [new URL(`/${blocks}`, address).href])).stdout).toBe('poured');
  };
  const readAgain = cli.holdStderr();
  // Fills the buffer that tunl keeps for a slow reader.
  await pour(16);
  const before = cli.rssBytes();
  await pour(128);
  const grown = cli.rssBytes() - before;
  expect(atMost('flood that nobody reads', 'RSS growth bytes', grown, 48 * MiB)).toBe(true);
  readAgain();
  await until(async () => {
    await pour(1);
    return /\[\d+ MB of output are left out here: they were not read\]/.test(cli.stderr);
  });
});

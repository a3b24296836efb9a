// Where tunl has to run: in the background of a shell, as process 1, without a home, a user entry or a current folder.

import {mkdir, readFile} from 'node:fs/promises';
import {connect, createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {expect} from 'vitest';
import type {ReadyEvent} from '../../src/lib/agent/events.js';
import {Child, run} from '../helpers/child.js';
import {entry, expose, runCli} from '../helpers/cli.js';
import {fakeProgram, isAlive, until} from '../helpers/launching.js';
import {exFat, withReadOnly} from '../helpers/mounts.js';
import {startRelayProcess} from '../helpers/relay.js';
import {type Scope, unusedPort} from '../helpers/scope.js';
import {makeKey} from '../helpers/ssh.js';
import {test} from '../helpers/test.js';
import {Screen} from '../helpers/tmux.js';
import {httpUpstream} from '../helpers/upstreams.js';
import {curl} from '../helpers/visitors.js';
import {parseEvent} from '../project/event-schema.js';

/** A user without an entry in the user database. */
const NOBODY = ['--reuid', '12345', '--regid', '12345', '--clear-groups', '--'];

/** `expose` as that user, with this environment and nothing else; resolves with its first event. */
async function exposeAsNobody(scope: Scope, env: Record<string, string>, before: string[] = []) {
  const {port} = await httpUpstream(scope);
  const words = [...Object.entries(env).map(([name, value]) => `${name}=${value}`), ...before];
  const tunl = [process.execPath, entry, 'expose', String(port), '--json'];
  const child = Child.start(scope, 'setpriv', [...NOBODY, 'env', '-i', ...words, ...tunl]);
  const first = JSON.parse(await child.line());
  return {child, first};
}

test.for(['nohup node', 'setsid node'])('%s … & outlives its terminal', async (start, {scope}) => {
  const relay = await startRelayProcess(scope);
  const stateDir = await scope.tempDir('state');
  const {port} = await httpUpstream(scope);
  const log = join(stateDir, 'log');
  const screen = await Screen.start(scope, {
    env: {...relay.env, TUNL_STATE_DIR: stateDir, HOME: stateDir},
  });
  const pidOf = async (what: string) => {
    await screen.run(`echo ${what} > ${stateDir}/pid`);
    const read = () => readFile(join(stateDir, 'pid'), 'utf8').catch(() => '');
    await until(async () => /^\d+\n$/.test(await read()), 10_000);
    return Number(await read());
  };
  const shell = await pidOf('$$');
  await screen.run(`${start} ${entry} expose ${port} --json >${log} 2>&1 </dev/null &`);
  const events = async () => (await readFile(log, 'utf8').catch(() => '')).split('\n');
  await until(async () => (await events()).some((line) => line.includes('"type":"ready"')), 30_000);
  const ready: ReadyEvent = JSON.parse(
    (await events()).find((line) => line.includes('"type":"ready"')) ?? '{}',
  );
  const {stdout} = await run(scope, 'pgrep', ['-f', `^node ${entry} expose ${port} --json$`]);
  const pid = Number(stdout);
  scope.onEnd(async () => {
    if (isAlive(pid)) process.kill(pid, 'SIGKILL');
    await until(() => !isAlive(pid));
  });
  await screen.close();
  await until(() => !isAlive(shell));
  expect((await curl(scope, relay.caFile, [ready.address])).code).toBe(0);
  process.kill(pid, 'SIGTERM');
  await until(() => !isAlive(pid), 10_000);
  // It ended because of SIGTERM, after the visitor.
  expect((await events()).filter((line) => line.includes('"type":"closed"'))).toEqual([
    expect.stringContaining('"connections":1'),
  ]);
});

/** `expose --json WORDS` as process 1 of a container, and a function that sends a signal to process 1. */
async function inContainer(scope: Scope, words: readonly string[], node: readonly string[] = []) {
  const relay = await startRelayProcess(scope);
  const stateDir = await scope.tempDir('state');
  const env = {...relay.env, TUNL_STATE_DIR: stateDir, HOME: stateDir};
  const tunl = [process.execPath, ...node, entry, 'expose', '--json', ...words];
  const child = Child.start(scope, 'unshare', ['-pf', '--mount-proc', '--kill-child', ...tunl], {env});
  const ready = JSON.parse(await child.line());
  expect(ready, child.stderr).toMatchObject({type: 'ready'});
  const pid = Number((await run(scope, 'pgrep', ['-P', String(child.pid)])).stdout);
  return {child, ready, relay, env, pid, signal: (name: NodeJS.Signals) => process.kill(pid, name)};
}

/** The same with a program. */
async function asProcessOne(scope: Scope, source: string, node?: readonly string[]) {
  const program = await fakeProgram(scope, source);
  return await inContainer(scope, ['--', process.execPath, program, '{port}'], node);
}

/** Leaves a process without a parent, which ends, and says when it is collected. */
const ORPHAN = `const {access} = await import('node:fs/promises');
const shell = spawn('sh', ['-c', 'sleep 0.2 & echo $!'], {stdio: ['ignore', 'pipe', 'ignore']});
let pid = '';
shell.stdout.on('data', (text) => (pid += text));
await new Promise((resolve) => shell.once('close', resolve));
const look = () => access('/proc/' + pid.trim()).then(() => setTimeout(look, 20), () => console.log('collected'));
await look();
await listen(Number(argv[0]));`;

test('as process 1 it becomes the child of a shell, which leaves no zombies and passes SIGTERM on', async ({
  scope,
}) => {
  const {child, signal} = await asProcessOne(scope, ORPHAN);
  await child.saidOnStderr(/^collected$/m);
  expect(child.stderr).not.toContain('process 1');
  signal('SIGTERM');
  await until(() => !isAlive(child.pid), 20_000);
  expect(await child.exited).toEqual({code: 0, signal: null});
  expect(JSON.parse(child.lines.at(-1) ?? '')).toMatchObject({type: 'closed'});
});

test('as process 1 in a terminal: the program reads from it, Ctrl+C ends it, and its exit code is passed on', async ({
  scope,
}) => {
  const stateDir = await scope.tempDir('state');
  const program = await fakeProgram(
    scope,
    `await listen(Number(argv[0]));
process.stdin.on('data', (text) => process.exit(Number(text)));`,
  );
  const screen = await Screen.start(scope, {columns: 120, env: {TUNL_STATE_DIR: stateDir, HOME: stateDir}});
  const start = async (time: string) => {
    const tunl = `node ${entry} expose -- node ${program} {port}`;
    await screen.run(`clear; echo ${time}; unshare -pf --mount-proc --kill-child ${tunl}; echo code $?`);
    // The screen still has the words of the first time until it is cleared.
    await screen.shows(new RegExp(`^${time}$`));
    await screen.shows(/^Ctrl\+C stops it\.$/);
  };
  await start('once');
  await screen.run('7');
  await screen.shows(/^code 7$/);
  await start('again');
  await screen.press('C-c');
  await screen.shows(/^code 0$/);
  await screen.shows(/closed after 0 connections$/);
});

test('as process 1 with a Node that cannot become a shell, it warns of zombies and ends on SIGTERM', async ({
  scope,
}) => {
  const old = 'data:text/javascript,delete process.execve';
  const {child, signal} = await asProcessOne(scope, 'await listen(Number(argv[0]));', ['--import', old]);
  expect(child.stderr).toContain('tunl is process 1 here');
  expect(child.stderr).toContain('--init');
  signal('SIGTERM');
  await until(() => !isAlive(child.pid), 20_000);
  expect(JSON.parse(child.lines.at(-1) ?? '')).toMatchObject({type: 'closed'});
});

test('as process 1 a private tunnel is found by other commands in its container', async ({scope}) => {
  const {port} = await httpUpstream(scope);
  const {ready, pid, relay, env, signal, child} = await inContainer(scope, [`web=${port}`, '--private']);
  const tunl = async (...args: string[]) => {
    const inside = ['-t', String(pid), '-p', '-m', process.execPath, entry, ...args, '--json'];
    const {code, stdout} = await run(scope, 'nsenter', inside, {env});
    return {code, event: stdout === '' ? undefined : parseEvent(stdout)};
  };
  expect((await tunl('list')).event).toMatchObject({pid: 1, address: ready.address, foreground: true});
  const denied = await tunl('access', 'web', '--cidr-deny', '203.0.113.9');
  expect(denied).toMatchObject({code: 0, event: {type: 'access', deny: ['203.0.113.9']}});
  const {event} = await tunl('share', 'web');
  if (event?.type !== 'shared') throw new Error('no link was made');
  expect((await curl(scope, relay.caFile, ['-f', event.url])).code).toBe(0);
  signal('SIGTERM');
  expect(await child.exited).toMatchObject({code: 0});
});

test('without HOME and without a user entry: state for this run, said once, and removed', async ({scope}) => {
  const {child, first} = await exposeAsNobody(scope, {PATH: process.env.PATH ?? ''});
  expect(first).toMatchObject({type: 'ready', relay: {embedded: true}});
  expect(child.stderr.match(/this user has no home folder/g)).toHaveLength(1);
  const {caFile} = first.relay;
  expect((await curl(scope, caFile, [first.address])).code).toBe(0);
  await child.stop('SIGTERM');
  await expect(readFile(caFile)).rejects.toThrow();
});

test('a home that cannot be written: with a program as well', async ({scope}) => {
  const home = await scope.tempDir('home');
  await run(scope, 'chmod', ['755', home]);
  const program = await fakeProgram(scope, 'await listen(Number(argv[0]));');
  await run(scope, 'chmod', ['-R', 'a+rX', join(program, '..')]);
  const env = ['env', '-i', `HOME=${home}`, `PATH=${process.env.PATH}`];
  const words = [process.execPath, entry, 'expose', '--json', '--', process.execPath, program, '{port}'];
  const child = Child.start(scope, 'setpriv', [...NOBODY, ...env, ...words]);
  const first = JSON.parse(await child.line());
  expect(first, child.stderr).toMatchObject({type: 'ready', program: 'command'});
  expect(child.stderr).toContain('cannot be written (EACCES)');
  // A folder that the user has chosen is not replaced.
  const chosen = await exposeAsNobody(scope, {PATH: process.env.PATH ?? '', TUNL_STATE_DIR: join(home, 'x')});
  expect(chosen.first).toMatchObject({type: 'error', code: 'STATE_DIR'});
});

/** The environment of a user whose home is this folder. */
const homeOf = (home: string) => ({HOME: home, TUNL_STATE_DIR: '', XDG_STATE_HOME: '', XDG_RUNTIME_DIR: ''});

test('a home on a read-only mount: a tunnel, a program and a relay of its own, and the reason once', async ({
  scope,
}) => {
  const home = await scope.tempDir('home');
  const program = await fakeProgram(scope, 'await listen(Number(argv[0]));');
  const [command = '', ...words] = [...withReadOnly([home]), process.execPath, entry];
  const options = {env: homeOf(home)};
  for (const target of [['8000'], ['--', process.execPath, program, '{port}']]) {
    const child = Child.start(scope, command, [...words, 'expose', '--json', ...target], options);
    expect(JSON.parse(await child.line()), child.stderr).toMatchObject({type: 'ready'});
    expect(child.stderr.match(/cannot be written \(EROFS\)/g)).toHaveLength(1);
    await child.stop('SIGTERM');
  }
  const key = await makeKey(scope);
  const ssh = Child.start(scope, command, [...words, 'ssh', '--json', '--key', `${key.path}.pub`], options);
  expect(JSON.parse(await ssh.line()), ssh.stderr).toMatchObject({type: 'ready', program: 'ssh'});
  await ssh.stop('SIGTERM');
  // What must be found again by other commands needs a real place.
  for (const other of [
    ['expose', '8000', '--detach'],
    ['relay', 'start', '--listen', '127.0.0.1:0'],
    ['login', `https://127.0.0.1:${await unusedPort()}`, '--token-file', '/dev/null'],
  ]) {
    const refused = await run(scope, command, [...words, ...other], options);
    expect(refused, other.join(' ')).toMatchObject({code: 8});
    expect(refused.stderr).toMatch(/\(EROFS\)\.\nnext: Set TUNL_STATE_DIR/);
  }
});

test('everything is read-only but the shared memory, as in a container; without it a clear error', async ({
  scope,
}) => {
  const {port} = await httpUpstream(scope);
  const start = (places: string[]) => {
    const [command = '', ...words] = withReadOnly(places);
    const tunl = [process.execPath, entry, 'expose', String(port), '--json'];
    return Child.start(scope, command, [...words, ...tunl], {env: homeOf('/no-such-home')});
  };
  const child = start(['/', tmpdir()]);
  const ready = JSON.parse(await child.line());
  expect(ready, child.stderr).toMatchObject({type: 'ready'});
  expect(ready.relay.caFile).toMatch(/^\/dev\/shm\/tunl-temporary-/);
  expect((await curl(scope, ready.relay.caFile, [ready.address])).code).toBe(0);
  await child.stop('SIGTERM');
  await expect(readFile(ready.relay.caFile)).rejects.toThrow('ENOENT');
  const none = start(['/', tmpdir(), '/dev/shm']);
  const error = JSON.parse(await none.line());
  expect(error).toMatchObject({type: 'error', code: 'STATE_DIR', next: expect.stringContaining('TMPDIR')});
  expect(error.message).toMatch(/cannot be written \(EROFS\), and \S+ cannot be written \(EROFS\)\.$/);
});

test('on exFAT, without hard links and sockets: names are kept, and a tunnel in the background can be stopped', async ({
  scope,
}) => {
  const stateDir = join(await exFat(scope), 'state');
  const {port} = await httpUpstream(scope);
  const first = await expose(scope, port, {stateDir});
  await first.cli.stop();
  const second = await expose(scope, port, {stateDir});
  expect(second.ready.address).toBe(first.ready.address);
  await second.cli.stop();
  const started = await runCli(scope, ['expose', String(port), '--detach'], {stateDir});
  expect(started).toMatchObject({code: 0});
  const listed = await runCli(scope, ['list', '--json'], {stateDir});
  const {id} = JSON.parse(listed.stdout);
  expect(await runCli(scope, ['stop', id], {stateDir})).toMatchObject({code: 0});
  const after = await runCli(scope, ['list', '--all', '--json'], {stateDir});
  expect(JSON.parse(after.stdout)).toMatchObject({id, state: 'ended'});
});

test('in a folder that was removed it goes on, and says so', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const stateDir = await scope.tempDir('state');
  const {port} = await httpUpstream(scope);
  const gone = join(stateDir, 'gone');
  await mkdir(gone);
  const command = `cd ${gone} && rmdir ${gone} && exec ${process.execPath} ${entry} expose ${port} --json`;
  const child = Child.start(scope, 'sh', ['-c', command], {
    env: {...relay.env, TUNL_STATE_DIR: stateDir, HOME: stateDir},
  });
  expect(JSON.parse(await child.line())).toMatchObject({type: 'ready'});
  expect(child.stderr).toContain('the current folder was removed');
});

test('with 64 descriptors, visitors that are too many are put down to tunl itself', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const stateDir = await scope.tempDir('state');
  const program = `ulimit -n 64; exec ${process.execPath} ${entry} expose "$0" --json`;
  const upstream = createServer((socket) => socket.on('error', () => {}));
  const port = await scope.listen(upstream);
  const child = Child.start(scope, 'sh', ['-c', program.replace('"$0"', `${port} --tcp`)], {
    env: {...relay.env, TUNL_STATE_DIR: stateDir, HOME: stateDir},
  });
  const ready: ReadyEvent = JSON.parse(await child.line());
  for (let n = 0; n < 64; n++) {
    const visitor = connect(ready.tcp?.port ?? 0, '127.0.0.1').on('error', () => {});
    scope.onEnd(() => void visitor.destroy());
  }
  const notice = JSON.parse(await child.line((line) => line.includes('"type":"notice"')));
  expect(notice.message).toMatch(/^tunl itself has no free file descriptors \(EMFILE\)/);
  expect(notice.message).not.toContain('does not accept connections');
});

test('with an old Node the command and the library say which one they need', async ({scope}) => {
  const pretend = `data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.9.0'}})`;
  const library = join(entry, '../../dist/index.js');
  const code = `import(${JSON.stringify(library)}).catch((error) => console.log(error.message))`;
  const asLibrary = await run(scope, process.execPath, ['--import', pretend, '-e', code]);
  expect(asLibrary.stdout).toMatch(/^tunl needs Node 22\.12 or newer; this is v/);
  const asCommand = await run(scope, process.execPath, ['--import', pretend, entry, 'expose', '1']);
  expect(asCommand.stderr).toMatch(/^tunl needs Node 22\.12 or newer; this is v/);
  expect(asCommand.code).toBe(2);
});

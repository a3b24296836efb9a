// Where tunl has to run: in the background of a shell, as process 1, without a home, a user entry or a current folder.

import {mkdir, readFile} from 'node:fs/promises';
import {connect, createServer} from 'node:net';
import {join} from 'node:path';
import {expect} from 'vitest';
import type {ReadyEvent} from '../../src/lib/agent/events.js';
import {Child, run} from '../helpers/child.js';
import {entry} from '../helpers/cli.js';
import {fakeProgram, isAlive, until} from '../helpers/launching.js';
import {startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {Screen} from '../helpers/tmux.js';
import {httpUpstream} from '../helpers/upstreams.js';
import {curl} from '../helpers/visitors.js';

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

test('as process 1 it starts a program, warns of zombies, and ends on SIGTERM', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const stateDir = await scope.tempDir('state');
  const program = await fakeProgram(scope, 'await listen(Number(argv[0]));');
  const tunl = [process.execPath, entry, 'expose', '--json', '--', process.execPath, program, '{port}'];
  const child = Child.start(scope, 'unshare', ['-pf', '--mount-proc', '--kill-child', ...tunl], {
    env: {...relay.env, TUNL_STATE_DIR: stateDir, HOME: stateDir},
  });
  const ready = JSON.parse(await child.line());
  expect(ready).toMatchObject({type: 'ready'});
  expect(child.stderr).toContain('tunl is process 1 here');
  expect(child.stderr).toContain('--init');
  const {stdout} = await run(scope, 'pgrep', ['-P', String(child.pid)]);
  process.kill(Number(stdout), 'SIGTERM');
  await until(() => !isAlive(child.pid), 20_000);
  expect(JSON.parse(child.lines.at(-1) ?? '')).toMatchObject({type: 'closed'});
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

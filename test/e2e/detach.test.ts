// Tunnels in the background, as a shell script uses them: the address in a variable, a list, logs, an end that leaves nothing.
import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {chmod, mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect} from 'vitest';
import {Child, cleanEnv, run} from '../helpers/child.js';
import {entry, startCli} from '../helpers/cli.js';
import {fakeProgram, isAlive, until, withArgument} from '../helpers/launching.js';
import {startRelayProcess} from '../helpers/relay.js';
import {Scope, unusedPort} from '../helpers/scope.js';
import {forOtherUser, otherUser} from '../helpers/ssh.js';
import {test} from '../helpers/test.js';
import {httpUpstream} from '../helpers/upstreams.js';
import {parseEvent} from '../project/event-schema.js';

/** A shell in which `tunl` is the built command, with a state folder of its own; whatever it started is stopped at the end. */
async function scriptShell(scope: Scope) {
  const relay = await startRelayProcess(scope);
  const folder = await scope.tempDir('script');
  await writeFile(join(folder, 'tunl'), `#!/bin/sh\nexec '${process.execPath}' '${entry}' "$@"\n`, {
    mode: 0o755,
  });
  const stateDir = join(folder, 'state');
  const env = {
    ...relay.env,
    PATH: `${folder}:${cleanEnv().PATH}`,
    HOME: folder,
    TUNL_STATE_DIR: stateDir,
    CURL_CA_BUNDLE: relay.caFile,
  };
  const shell = (script: string) => run(scope, '/bin/bash', ['-euo', 'pipefail', '-c', script], {env});
  // A scope of its own: this one is ending when it runs.
  scope.onEnd(async () => {
    await using end = new Scope();
    await run(end, join(folder, 'tunl'), ['stop', '--all', '-q'], {env});
  });
  const left = () =>
    existsSync(join(stateDir, 'background')) ? readdirSync(join(stateDir, 'background')) : [];
  return {shell, stateDir, left, relay};
}

test('give me the address, use it, tear down', async ({scope}) => {
  const {shell, left} = await scriptShell(scope);
  const upstream = await httpUpstream(scope, 'from the background');
  const script = await shell(`
    url=$(tunl expose ${upstream.port} -q --detach)
    curl -s --resolve "*:443:127.0.0.1" "$url/"; echo
    tunl list --json | jq -r .address | grep -qx "$url"
    tunl logs "$(tunl list --json | jq -r .id)" | grep -c open
    tunl stop --all
    tunl list -q
  `);
  expect(script).toMatchObject({code: 0, stdout: 'from the background\n1\n'});
  expect(script.stderr).toContain('has ended');
  expect(left()).toEqual([]);
});

test('--json says all that is needed; a program comes along and goes', async ({scope}) => {
  const {shell, stateDir, left} = await scriptShell(scope);
  const fake = await fakeProgram(
    scope,
    `await listen(Number(process.env.PORT)); console.log('words of a program');`,
  );
  const started = await shell(
    `tunl expose --detach --json --expires 2h -- '${process.execPath}' '${fake}' '{port}'`,
  );
  expect(started).toMatchObject({code: 0, stderr: ''});
  const ready = parseEvent(started.stdout);
  if (ready.type !== 'ready') throw new Error(started.stdout);
  const {id = '', expiresAt} = ready;
  expect(withArgument(fake).length).toBeGreaterThan(0);
  const listed = parseEvent((await shell('tunl list --json')).stdout);
  expect(listed).toMatchObject({type: 'tunnel', id, address: ready.address, expiresAt});
  const following = await startCli(scope, ['logs', id, '-f'], {stateDir});
  // It has found the tunnel when it speaks; one that looks later would rightly find nothing under this id.
  await following.line((line) => line.includes('words of a program'));
  // What a program says may come after its first answer: by now it is in the log.
  expect((await shell(`tunl logs ${id}`)).stdout).toContain('words of a program');
  expect((await shell(`tunl stop ${id} --json`)).stdout).toContain('"type":"ended"');
  expect((await following.exited).code).toBe(0);
  expect(withArgument(fake).filter(isAlive)).toEqual([]);
  expect(left()).toEqual([]);
});

test('a port that nobody listens on is told in the foreground, and in the log; it says how to stop it', async ({
  scope,
}) => {
  const {shell, stateDir} = await scriptShell(scope);
  const port = await unusedPort();
  const warning = `nothing answers on localhost:${port} yet`;
  const {stderr} = await shell(`tunl expose ${port} --detach`);
  expect(stderr).toContain(warning);
  const {id} = parseEvent((await shell('tunl list --json')).stdout) as {id: string};
  expect(stderr).toContain(`tunl stop ${id}`);
  const log = await startCli(scope, ['logs', id, '-f'], {stateDir});
  await log.line((line) => line.includes(warning));
  expect(log.stdout).toContain(`tunl stop ${id}`);
  expect(log.stdout).not.toContain('Ctrl+C');
  // A script that takes one event gets one event.
  const json = await shell(`tunl expose ${port} --detach --json`);
  expect(parseEvent(json.stdout).type).toBe('ready');
  const quiet = await shell(`tunl expose ${port} --detach -q`);
  expect(quiet.stderr).toBe('');
});

test('what cannot come up says why in the foreground, and leaves nothing', async ({scope}) => {
  const {shell, left} = await scriptShell(scope);
  const failed = await shell(`tunl expose --detach --json -- sh -c 'echo no luck; exit 3'`);
  expect(failed).toMatchObject({code: 6, stderr: ''});
  expect(parseEvent(failed.stdout)).toMatchObject({
    code: 'PROGRAM_DIED',
    message: expect.stringContaining('no luck'),
  });
  expect(left()).toEqual([]);
  expect((await shell('tunl stop nobody --json')).stdout).toContain('BACKGROUND_UNKNOWN');
  expect((await shell('tunl stop --json')).stdout).toContain('"USAGE"');
});

test('a tunnel that another user runs cannot be stopped, and is said to be so', async ({scope}) => {
  const user = await otherUser(scope);
  const at = await forOtherUser(scope, user);
  const folder = join(user.home, 'state', 'background');
  // A process of root's: its number and its start, as the roster would have them.
  const {pid} = Child.start(scope, 'sleep', ['600']);
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const processStart = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  const entryOf = {id: 'abcdef', pid, processStart, startedAt: new Date(0).toISOString()};
  const text = JSON.stringify({...entryOf, command: [], address: 'https://x.example'});
  const [as = '', ...more] = user.as;
  const made = await run(
    scope,
    as,
    [...more, 'sh', '-c', `mkdir -p -m 700 ${folder} && cat > ${folder}/abcdef.json`],
    {
      input: text,
      cwd: user.home,
    },
  );
  expect(made.code, made.stderr).toBe(0);
  const env = {HOME: user.home, TUNL_STATE_DIR: join(user.home, 'state')};
  const tunl = (...words: string[]) =>
    run(scope, as, [...more, at.node, join(at.root, 'bin/run.js'), ...words], {env, cwd: user.home});
  for (const which of ['abcdef', '--all']) {
    const stopped = await tunl('stop', which, '--json');
    expect(stopped.code).toBe(8);
    expect(parseEvent(stopped.stdout)).toMatchObject({
      code: 'BACKGROUND_STUCK',
      message: `The tunnel abcdef (process ${pid}) cannot be stopped (EPERM).`,
    });
  }
  expect(isAlive(pid)).toBe(true);
});

test('in a folder that others can write to no entry is believed: nothing is ended', async ({scope}) => {
  const {shell, stateDir} = await scriptShell(scope);
  const {pid} = Child.start(scope, 'sleep', ['600']);
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const processStart = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  const folder = join(stateDir, 'background');
  await mkdir(folder, {recursive: true});
  const entryOf = {id: 'abcdef', pid, processStart, startedAt: new Date(0).toISOString()};
  await writeFile(join(folder, 'abcdef.json'), JSON.stringify({...entryOf, command: [], address: 'x'}));
  await chmod(folder, 0o777);
  for (const words of ['stop --all', 'stop abcdef', 'list', 'logs abcdef']) {
    const refused = await shell(`tunl ${words} --json`);
    expect(refused.code, words).toBe(8);
    expect(parseEvent(refused.stdout)).toMatchObject({
      code: 'STATE_DIR',
      next: expect.stringContaining(`chmod go-w ${folder}`),
    });
  }
  expect(isAlive(pid)).toBe(true);
  await chmod(folder, 0o755);
  expect((await shell('tunl stop --all --json')).code).toBe(0);
  await until(() => !isAlive(pid));
});

test('after kill -9: not listed, no file left; a pid that is somebody else’s by now is not touched', async ({
  scope,
}) => {
  const {shell, left, stateDir} = await scriptShell(scope);
  const {port} = await httpUpstream(scope);
  await shell(`tunl expose ${port} -q --detach`);
  const listed = parseEvent((await shell('tunl list --json')).stdout);
  if (listed.type !== 'tunnel') throw new Error('not listed');
  process.kill(listed.pid, 'SIGKILL');
  await until(() => !isAlive(listed.pid));
  const folder = join(stateDir, 'background');
  await mkdir(folder, {recursive: true});
  const entryOf = {id: 'abcdef', pid: process.pid, processStart: '1', startedAt: new Date(0).toISOString()};
  await writeFile(join(folder, 'abcdef.json'), JSON.stringify({...entryOf, command: [], address: 'x'}));
  await writeFile(join(folder, 'bcdefg.json'), 'no json');
  expect(await shell('tunl list --json; tunl stop --all')).toMatchObject({code: 0, stdout: ''});
  expect(left().filter((name) => !name.startsWith('bcdefg'))).toEqual([]);
});

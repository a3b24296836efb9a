// Tunnels in the background, as a shell script uses them: the address in a variable, a list, logs, and the reason of the end.
import {once} from 'node:events';
import {existsSync, readdirSync, readFileSync, statSync} from 'node:fs';
import {chmod, mkdir, utimes, writeFile} from 'node:fs/promises';
import {connect} from 'node:net';
import {join} from 'node:path';
import {expect} from 'vitest';
import {Child, cleanEnv, run} from '../helpers/child.js';
import {entry, projectRoot, startCli} from '../helpers/cli.js';
import {fakeProgram, isAlive, until, withArgument} from '../helpers/launching.js';
import {startRelayProcess} from '../helpers/relay.js';
import {Scope, unusedPort} from '../helpers/scope.js';
import {forOtherUser, otherUser} from '../helpers/ssh.js';
import {test} from '../helpers/test.js';
import {httpUpstream, tcpUpstream} from '../helpers/upstreams.js';
import {parseEvent} from '../project/event-schema.js';

/** A shell in which `tunl` is the built command, with its own state folder; everything that it started is stopped at the end. */
async function scriptShell(scope: Scope) {
  const relay = await startRelayProcess(scope);
  const home = await scope.tempDir('script');
  await writeFile(join(home, 'tunl'), `#!/bin/sh\nexec '${process.execPath}' '${entry}' "$@"\n`, {
    mode: 0o755,
  });
  const stateDir = join(home, 'state');
  const env = {
    ...relay.env,
    PATH: `${home}:${cleanEnv().PATH}`,
    HOME: home,
    TUNL_STATE_DIR: stateDir,
    CURL_CA_BUNDLE: relay.caFile,
  };
  const shell = (script: string) => run(scope, '/bin/bash', ['-euo', 'pipefail', '-c', script], {env});
  // A separate scope: the other one is already ending when this runs.
  scope.onEnd(async () => {
    await using end = new Scope();
    await run(end, join(home, 'tunl'), ['stop', '--all', '-q'], {env});
  });
  const folder = join(stateDir, 'background');
  const left = () => (existsSync(folder) ? readdirSync(folder).sort() : []);
  return {shell, stateDir, folder, left, relay};
}

/** The objects of `tunl list --json`, one on each line. */
function listed(stdout: string) {
  const events = stdout.split('\n').filter(Boolean).map(parseEvent);
  return events.filter((event) => event.type === 'tunnel');
}

test('print the address, use it, tear down', async ({scope}) => {
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
  // Only its log and its entry with the reason stay for a while.
  expect(left().map((name) => name.replace(/^\w{6}/, 'id'))).toEqual(['id.json', 'id.log']);
});

test('--json has everything that a script needs; a program starts and ends with the tunnel', async ({
  scope,
}) => {
  const {shell, stateDir} = await scriptShell(scope);
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
  // Only when it prints something has it found the tunnel; later there is none with this id.
  await following.line((line) => line.includes('words of a program'));
  // The program may print after its first answer; by now the line is in the log.
  expect((await shell(`tunl logs ${id}`)).stdout).toContain('words of a program');
  expect((await shell(`tunl stop ${id} --json`)).stdout).toContain('"type":"ended"');
  expect((await following.exited).code).toBe(0);
  expect(withArgument(fake).filter(isAlive)).toEqual([]);
});

test('a port without a listener is reported in the foreground, and in the log; the message says how to stop the tunnel', async ({
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
  // A script that reads one event gets one event.
  const json = await shell(`tunl expose ${port} --detach --json`);
  expect(parseEvent(json.stdout).type).toBe('ready');
  const quiet = await shell(`tunl expose ${port} --detach -q`);
  expect(quiet.stderr).toBe('');
});

test('a tunnel that cannot start reports the reason in the foreground, and leaves nothing', async ({
  scope,
}) => {
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

test('a tunnel of another user cannot be stopped, and the error says so', async ({scope}) => {
  const user = await otherUser(scope);
  const at = await forOtherUser(scope, user);
  const folder = join(user.home, 'state', 'background');
  // A process of root: its pid and its start time, as in the roster.
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

test('in a folder that others can write to, no entry is trusted: nothing is ended', async ({scope}) => {
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

test('after kill -9: ended unexpectedly; a pid that now belongs to another process is not signalled', async ({
  scope,
}) => {
  const {shell, folder} = await scriptShell(scope);
  const {port} = await httpUpstream(scope);
  await shell(`tunl expose ${port} -q --detach`);
  const [tunnel] = listed((await shell('tunl list --json')).stdout);
  if (tunnel === undefined) throw new Error('not listed');
  process.kill(tunnel.pid, 'SIGKILL');
  await until(() => !isAlive(tunnel.pid));
  const entryOf = {id: 'abcdef', pid: process.pid, processStart: '1', startedAt: new Date(0).toISOString()};
  await writeFile(join(folder, 'abcdef.json'), JSON.stringify({...entryOf, command: ['x'], address: 'x'}));
  await writeFile(join(folder, 'bcdefg.json'), 'no json');
  expect(await shell('tunl list --json; tunl stop --all')).toMatchObject({code: 0, stdout: ''});
  const all = listed((await shell('tunl list --all --json')).stdout);
  expect(all.map(({id, state, end}) => ({id, state, end}))).toEqual([
    {id: 'abcdef', state: 'ended', end: {why: 'unknown'}},
    {id: tunnel.id, state: 'ended', end: {why: 'unknown'}},
  ]);
  expect((await shell(`tunl logs ${tunnel.id}`)).stderr).toContain('ended unexpectedly');
});

test('after its end the log and the reason can be read; a week later they are gone', async ({scope}) => {
  const {shell, folder, left} = await scriptShell(scope);
  const fake = await fakeProgram(
    scope,
    `await listen(Number(process.env.PORT)); console.log('last words'); process.on('SIGUSR1', () => process.exit(7));`,
  );
  const {port} = await httpUpstream(scope);
  await shell(`tunl expose --detach -q -- '${process.execPath}' '${fake}' '{port}'`);
  await shell(`tunl expose ${port} --detach -q --idle-timeout 1s`);
  await shell(`tunl expose ${port} --detach -q --new-name --expires 1s`);
  await shell(`tunl expose ${port} --detach -q --new-name`);
  const [program, idle, expired, stopped] = listed((await shell('tunl list --all --json')).stdout);
  for (const pid of withArgument(fake)) process.kill(pid, 'SIGUSR1');
  await until(() => ![program, idle, expired].some((each) => each !== undefined && isAlive(each.pid)));
  await shell(`tunl stop ${stopped?.id}`);
  const all = listed((await shell('tunl list --all --json')).stdout);
  expect(all.map(({id, end}) => [id, end?.why, end?.exitCode])).toEqual([
    [program?.id, 'exited', 7],
    [idle?.id, 'idle', 0],
    [expired?.id, 'expired', 0],
    [stopped?.id, 'stopped', 0],
  ]);
  for (const {end} of all) expect(end?.durationMs).toBeGreaterThan(0);
  const log = await shell(`tunl logs ${program?.id}`);
  expect(log.stdout).toContain('last words');
  expect(log.stderr).toMatch(/ended at .* after .*: its program ended \(exit code 7\)/);
  for (const name of left()) expect(statSync(join(folder, name)).mode & 0o777, name).toBe(0o600);
  expect((await shell(`tunl stop ${program?.id} --json`)).stdout).toContain('has ended');
  const weekAgo = Date.now() / 1000 - 7 * 86_400 - 1;
  for (const name of left()) await utimes(join(folder, name), weekAgo, weekAgo);
  expect(await shell('tunl list --all -q')).toMatchObject({code: 0, stdout: ''});
  expect(left()).toEqual([]);
});

test('a running tunnel shows its status, accepts another end time, and keeps the reason of a stop', async ({
  scope,
}) => {
  const {shell, stateDir, folder, left} = await scriptShell(scope);
  const {port} = await httpUpstream(scope, 'seen');
  await shell(`tunl expose ${port} --detach -q --expires 1h`);
  const [before] = listed((await shell('tunl list --json')).stdout);
  expect(before?.status).toEqual({
    link: 'up',
    reach: 'passed',
    upstream: `localhost:${port}`,
    visitors: {open: 0, total: 0},
    bytesIn: 0,
    bytesOut: 0,
  });
  if (before === undefined) throw new Error('not listed');
  const {id, address} = before;
  expect(statSync(join(folder, `${id}.sock`)).mode & 0o777).toBe(0o600);
  await shell(`curl -s --resolve "*:443:127.0.0.1" ${address}/`);
  const log = await startCli(scope, ['logs', id, '-f'], {stateDir});
  await log.line((line) => line.includes('closed'));
  const [after] = listed((await shell('tunl list --json')).stdout);
  expect(after?.status).toMatchObject({link: 'up', visitors: {open: 0, total: 1}});
  expect(after?.status?.bytesOut).toBeGreaterThan(100);
  expect((await shell('tunl list')).stderr).toContain('0 of 1 visitors open');
  const extended = parseEvent((await shell(`tunl extend ${id} --expires 5h --json`)).stdout);
  const [later] = listed((await shell('tunl list --json')).stdout);
  if (extended.type !== 'extended') throw new Error('not extended');
  const wait = Date.parse(later?.expiresAt ?? '') - Date.parse(before.expiresAt ?? '');
  expect(wait).toBeGreaterThan(3.9 * 3_600_000);
  // A process that does not answer is listed without its status.
  process.kill(before.pid, 'SIGSTOP');
  const [silent] = listed((await shell('tunl list --json')).stdout);
  expect(silent).toMatchObject({id, state: 'running'});
  expect(silent).not.toHaveProperty('status');
  expect((await shell(`tunl extend ${id} --expires 5h --json`)).stdout).toContain('BACKGROUND_SILENT');
  process.kill(before.pid, 'SIGCONT');
  await shell(`tunl stop ${id} --reason 'enough for today'`);
  const [ended] = listed((await shell('tunl list --all --json')).stdout);
  expect(ended?.end).toMatchObject({why: 'stopped', message: 'enough for today', exitCode: 0});
  expect(left()).not.toContain(`${id}.sock`);
  // Sooner than the first end time: it ends by itself.
  await shell(`tunl expose ${port} --detach -q --expires 1h`);
  const [second] = listed((await shell('tunl list --json')).stdout);
  await shell(`tunl extend ${second?.id} --expires 1s`);
  await until(() => second !== undefined && !isAlive(second.pid));
  const last = listed((await shell('tunl list --all --json')).stdout).at(-1);
  expect(last?.end?.why).toBe('expired');
});

test.for(['in a terminal', 'in the background'] as const)(
  'a tunnel %s gets another end time as long as it is not about to end',
  async (where, {scope}) => {
    const {shell, stateDir, relay} = await scriptShell(scope);
    const target = await tcpUpstream(scope, (socket) => void socket.write('hello'));
    const isDetached = where === 'in the background';
    // A tunnel in a terminal that has rules can be reached by other commands.
    const flags = ['--tcp', '--cidr-deny', '::1', '--expires', '1h', '--drain-timeout', '1h', '--json'];
    const cli = await startCli(
      scope,
      ['expose', `${target}`, ...flags, ...(isDetached ? ['--detach'] : [])],
      {stateDir, env: relay.env},
    );
    const {tcp} = await cli.event('ready');
    const entry = async () => {
      const [only] = listed((await shell('tunl list --json')).stdout);
      if (only === undefined) throw new Error('not listed');
      return only;
    };
    const {id, pid} = await entry();
    const extend = async (time: string) =>
      parseEvent((await shell(`tunl extend ${id} --expires ${time} --json`)).stdout);
    const extended = await extend('5h');
    expect(extended).toMatchObject({type: 'extended', id, expiresAt: (await entry()).expiresAt});
    const visitor = connect({host: '127.0.0.1', port: tcp?.port ?? 0});
    scope.onEnd(() => void visitor.destroy());
    await once(visitor, 'data');
    if (isDetached) {
      const log = await startCli(scope, ['logs', id, '-f'], {stateDir});
      expect(await extend('1ms')).toMatchObject({type: 'extended'});
      await log.line((line) => line.includes('closing: 1 open connection may finish'));
    } else {
      cli.signal('SIGTERM');
      await cli.event('draining');
    }
    const {expiresAt} = await entry();
    expect(await extend('9h')).toMatchObject({
      type: 'error',
      code: 'BACKGROUND_UNKNOWN',
      message: 'The command is about to end.',
    });
    expect((await entry()).expiresAt).toBe(expiresAt);
    visitor.resetAndDestroy();
    await until(() => !isAlive(pid));
  },
);

test('the bytes of a visitor who stays are counted', async ({scope}) => {
  const {shell} = await scriptShell(scope);
  const target = await tcpUpstream(scope, (socket) => void socket.write('hello'));
  await shell(`tunl expose ${target} --detach -q --tcp`);
  const list = async () => listed((await shell('tunl list --json')).stdout)[0];
  const [host = '', port = ''] = (await list())?.address.split(':') ?? [];
  const socket = connect({host: host.endsWith('localhost') ? '127.0.0.1' : host, port: Number(port)});
  scope.onEnd(() => void socket.destroy());
  await once(socket, 'data');
  const {status} = (await list()) ?? {};
  expect(status).toMatchObject({visitors: {open: 1, total: 1}, bytesIn: 0, bytesOut: 5});
  expect(Date.parse(status?.lastTrafficAt ?? '')).toBeGreaterThan(0);
});

test('an error that ends a tunnel is shown with its code', async ({scope}) => {
  const {shell} = await scriptShell(scope);
  const {port} = await httpUpstream(scope);
  const start = `tunl expose ${port} --detach -q --subdomain mine`;
  await shell(start);
  const [first] = listed((await shell('tunl list --json')).stdout);
  // A second agent of the same owner takes over the name.
  await shell(start);
  await until(() => first !== undefined && !isAlive(first.pid));
  const [ended] = listed((await shell('tunl list --all --json')).stdout);
  expect(ended).toMatchObject({id: first?.id, end: {why: 'failed', code: 'TAKEN_OVER', exitCode: 5}});
});

test('a program that floods its log does not fill the disk, and visitors are served', async ({scope}) => {
  const {shell, stateDir, folder, left} = await scriptShell(scope);
  const fake = await fakeProgram(
    scope,
    `await listen(Number(process.env.PORT));
const line = 'x'.repeat(99) + '\\n';
for (let at = 0; at < 400; at += 1) {
  if (!process.stdout.write(line.repeat(1000))) await new Promise((resolve) => process.stdout.once('drain', resolve));
}
console.log('after the flood');`,
  );
  await shell(`tunl expose --detach -q -- '${process.execPath}' '${fake}' '{port}'`);
  const [tunnel] = listed((await shell('tunl list --json')).stdout);
  const following = await startCli(scope, ['logs', tunnel?.id ?? '', '-f'], {stateDir});
  await following.line((line) => line === 'after the flood');
  const address = tunnel?.address;
  expect(
    (await shell(`curl -s -o /dev/null -w '%{http_code}' --resolve "*:443:127.0.0.1" ${address}/`)).stdout,
  ).toBe('200');
  const sizes = left()
    .filter((name) => name.includes('.log'))
    .map((name) => statSync(join(folder, name)).size);
  expect(sizes).toHaveLength(2);
  for (const size of sizes) expect(size).toBeLessThan(2.2 * 1024 * 1024);
  // Both files, in order, without duplicates.
  const log = (await shell(`tunl logs ${tunnel?.id} | tail -n +2 | sort | uniq -c | wc -l`)).stdout;
  expect(Number(log)).toBeLessThan(10);
});

test('a relay runs in the background like a tunnel', async ({scope}) => {
  const {shell} = await scriptShell(scope);
  const script = await shell(`
    relay=$(tunl relay start --detach --json)
    id=$(jq -r .id <<<"$relay")
    tunl list --json | jq -r .address | grep -qx "$(jq -r .url <<<"$relay")"
    tunl expose 8000 --detach -q --relay "$(jq -r .url <<<"$relay")" --ca-file "$(jq -r .caFile <<<"$relay")"
    tunl logs "$id" | grep -c 'listens on'
    tunl stop "$id"
    tunl list --all --json | jq -r "select(.id == \\"$id\\").end.why"
  `);
  expect(script).toMatchObject({code: 0, stdout: expect.stringMatching(/^https:.*\n1\nstopped\n$/)});
  const taken = await shell('tunl relay start --detach --listen 1.2.3.4:1 --json || true');
  expect(parseEvent(taken.stdout)).toMatchObject({type: 'error'});
});

test('a program that uses tunl as a library starts tunl in the background, not itself', async ({scope}) => {
  const {shell} = await scriptShell(scope);
  const script = join(await scope.tempDir('library'), 'program.mjs');
  await writeFile(
    script,
    `import {startInBackground} from ${JSON.stringify(join(projectRoot, 'dist/lib/launch/background.js'))};
const {first, release} = await startInBackground('abcdef', ['relay', 'start', '--detach'], process.argv[2]);
console.log((await first).event.type);
release();`,
  );
  await shell('tunl relay start --detach -q');
  const said = await shell(`'${process.execPath}' '${script}' "$TUNL_STATE_DIR/background/abcdef.log"`);
  expect(said, said.stderr).toMatchObject({code: 0, stdout: 'listening\n'});
});

// `tunl cluster join`: members with a relay between them.

import {chmod, copyFile} from 'node:fs/promises';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect} from 'vitest';
import type {Child, ChildOptions} from '../helpers/child.js';
import {runCli} from '../helpers/cli.js';
import {eventsOf, startCluster, USERS, type User} from '../helpers/cluster.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import type {Device} from '../helpers/tun-device.js';
import {parseEvent} from '../project/event-schema.js';

const all = new Scope();
let relay: RelayProcess;
let env: Record<string, string>;

beforeAll(async () => {
  relay = await startRelayProcess(all);
  // An ordinary user cannot read the relay's folder.
  const folder = await all.tempDir('ca');
  await chmod(folder, 0o755);
  const caFile = join(folder, 'ca.pem');
  await copyFile(relay.caFile, caFile);
  await chmod(caFile, 0o644);
  env = {...relay.env, TUNL_CA_FILE: caFile};
});

afterAll(() => all[Symbol.asyncDispose]());

let clusters = 0;
const newName = () => `c${++clusters}`;
const [first = 'user'] = USERS;

interface MemberOptions extends ChildOptions {
  user?: User;
  device?: Device;
}

const member = (
  scope: Scope,
  words: readonly string[],
  {user = first, ...options}: MemberOptions = {},
): Promise<Child> =>
  startCluster(scope, user, ['join', ...words], {...options, env: {...env, ...options.env}});

const shell = (script: string) => ['--', 'sh', '-c', script];

describe.each(USERS)('for %s', (user) => {
  test('members start together, and reach one another by name, also one that listens late', async ({
    scope,
  }) => {
    const name = newName();
    const script = `
import os, socket, time
rank = int(os.environ['RANK'])
if rank == 0:
    time.sleep(1.5)
    server = socket.socket(socket.AF_INET6); server.bind(('::', 29500)); server.listen()
    connection, peer = server.accept()
    connection.sendall(peer[0].encode()); connection.close()
    print(socket.gethostname(), socket.getfqdn(), flush=True)
else:
    connection = socket.create_connection((os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT'])), 30)
    seen = connection.makefile().read()
    print('seen as itself' if seen == os.environ['TUNL_I6PN_ADDR'] else seen, socket.gethostname(), flush=True)
`;
    const words = [name, '--size', '2', '--', 'python3', '-c', script];
    const one = await member(scope, words, {user});
    await one.saidOnStderr(/^waiting for 1 of 2 members$/m);
    const two = await member(scope, words, {user});
    const ends = [await one.finished(), await two.finished()];
    expect(
      ends.map(({code}) => code),
      ends.map(({stderr}) => stderr).join('\n'),
    ).toEqual([0, 0]);
    expect(one.stdout).toBe(`rank0 rank0.${name}.tunl.internal\n`);
    expect(two.stdout).toBe('');
    expect(two.stderr).toMatch(/^\[1\] seen as itself rank1$/m);
  });
});

test('UDP passes between ranks where their machines have the device', async ({scope}) => {
  const script = `
import os, socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.settimeout(30)
port = int(os.environ['MASTER_PORT'])
if os.environ['RANK'] == '0':
    s.bind(('::', port))
    data, sender = s.recvfrom(100)
    print(data.decode(), sender[0] == os.environ['TUNL_CLUSTER_ADDRS'].split(',')[1], flush=True)
    s.sendto(b'answer', sender)
else:
    s.connect((os.environ['MASTER_ADDR'], port)); s.settimeout(0.2)
    while True:
        try:
            s.send(b'hello'); print(s.recv(100).decode(), flush=True); break
        except (ConnectionRefusedError, TimeoutError): pass
`;
  const words = [newName(), '--size', '2', '--', 'python3', '-c', script];
  const one = await member(scope, words, {device: 'open'});
  await one.saidOnStderr(/^waiting for 1 of 2 members$/m);
  const two = await member(scope, words, {device: 'open'});
  const ends = [await one.finished(), await two.finished()];
  expect(ends.map(({code}) => code)).toEqual([0, 0]);
  expect(one.stdout).toBe('hello True\n');
  expect(two.stderr).toMatch(/^\[1\] answer$/m);
});

test('a rank without the device: those who send hear of it, and people once', async ({scope}) => {
  const script = `
import os, socket
other = os.environ['TUNL_CLUSTER_ADDRS'].split(',')[1 - int(os.environ['RANK'])]
for _ in range(2):
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.settimeout(30)
    try: s.connect((other, 7000)); s.send(b'x'); s.recv(1)
    except OSError as error: print(type(error).__name__, flush=True)
`;
  const words = [newName(), '--size', '2', '--', 'python3', '-c', script];
  const one = await member(scope, words, {device: 'open'});
  await one.saidOnStderr(/^waiting for 1 of 2 members$/m);
  const two = await member(scope, words, {device: 'none'});
  const ends = [await one.finished(), await two.finished()];
  expect(ends.map(({code}) => code)).toEqual([0, 0]);
  expect(one.stdout).toBe('PermissionError\nPermissionError\n');
  expect(
    one.stderr.match(/rank1 port 7000: The member takes no UDP\. There is no \/dev\/net\/tun/g),
  ).toHaveLength(1);
  expect(two.stderr.match(/^\[1\] PermissionError$/gm)).toHaveLength(2);
  expect(two.stderr.match(/UDP does not leave here.*There is no \/dev\/net\/tun/g)).toHaveLength(1);
});

test('the bytes that a rank sent before its end arrive', async ({scope}) => {
  const bytes = 6 << 20;
  // The reader is slow, so many bytes are on their way when the program of rank 1 ends.
  const script = `
import os, socket, time
if os.environ['RANK'] == '0':
    server = socket.socket(socket.AF_INET6); server.bind(('::', 29500)); server.listen()
    peer = server.accept()[0]
    count = 0
    while piece := peer.recv(65536):
        count += len(piece); time.sleep(0.01)
    print(count, flush=True)
else:
    socket.create_connection((os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT'])), 30).sendall(b'x' * ${bytes})
`;
  const words = [newName(), '--size', '2', '--', 'python3', '-c', script];
  const one = await member(scope, words);
  await one.saidOnStderr(/^waiting for 1 of 2 members$/m);
  const two = await member(scope, words);
  const ends = [await one.finished(), await two.finished()];
  expect(ends.map(({stderr}) => stderr).join('\n')).not.toContain('Error');
  expect(ends.map(({code}) => code)).toEqual([0, 0]);
  expect(one.stdout).toBe(`${bytes}\n`);
});

test('one fails: all end with its code, and say which one it was', async ({scope}) => {
  const name = newName();
  const one = await member(scope, [name, '--size', '2', '--rank', '1', '--json', ...shell('sleep 600')]);
  const two = await member(scope, [name, '--size', '2', '--rank', '0', '--json', ...shell('exit 9')]);
  expect([await one.finished(), await two.finished()]).toMatchObject([{code: 9}, {code: 9}]);
  for (const {lines} of [one, two]) {
    expect(lines.map((line) => parseEvent(line).type).at(-1)).toBe('cluster-closed');
    const events = eventsOf(lines);
    expect(events.at(-1)).toMatchObject({exitCode: 9, failed: 0});
    expect(
      events.filter((event) => event.type === 'cluster-exit').map(({rank, told}) => ({rank, told})),
    ).toEqual(expect.arrayContaining([{rank: 0}, {rank: 1, told: true}]));
  }
});

test('an end that is asked for on one machine ends all', async ({scope}) => {
  const name = newName();
  const words = [name, '--size', '2', ...shell('echo up; sleep 600')];
  const members = [await member(scope, words), await member(scope, words)];
  for (const each of members) await each.saidOnStderr(/^cluster c\d+: 2 members$/m);
  members[1]?.signal('SIGINT');
  expect(await Promise.all(members.map(async (each) => (await each.exited).code))).toEqual([130, 130]);
});

test('all start again after a failure', async ({scope}) => {
  const name = newName();
  const folder = await scope.tempDir('tried');
  await chmod(folder, 0o777);
  const script = `[ $RANK = 1 ] && mkdir '${folder}/once' && exit 3; [ -d '${folder}/once' ] || sleep 600`;
  const words = [name, '--size', '2', '--json', '--restarts', '1', ...shell(script)];
  const members = [await member(scope, words), await member(scope, words)];
  for (const each of members) {
    const {code, stderr, stdout} = await each.finished();
    expect(code, stderr + stdout).toBe(0);
    const starts = eventsOf(each.lines).filter((event) => event.type === 'cluster-start');
    expect(starts.map(({epoch}) => epoch)).toEqual([1, 2]);
    const pauses = eventsOf(each.lines).filter((event) => event.type === 'cluster-restart');
    expect(pauses).toEqual([expect.objectContaining({epoch: 2, delayMs: 1_000, exitCode: 3, failed: 1})]);
  }
});

test.for([
  ['a member that never comes', '2', '500ms'],
  ['a member whose network is not ready in time', '1', '1ms'],
] as const)('%s', async ([, size, time], {scope}) => {
  const {code, stderr} = await (
    await member(scope, [newName(), '--size', size, '--join-timeout', time, ...shell('true')])
  ).finished();
  expect(code).toBe(4);
  expect(stderr).toContain('CLUSTER_INCOMPLETE');
});

test('a token is for the clusters in its scopes', async ({scope}) => {
  const name = newName();
  const {stdout} = await runCli(
    scope,
    ['relay', 'token', 'create', 'trainer', '--scope', `cluster:${name}`, '--json'],
    {stateDir: relay.cli.stateDir},
  );
  const env = {TUNL_TOKEN: JSON.parse(stdout).token};
  const join = async (cluster: string) =>
    (await member(scope, [cluster, '--size', '1', ...shell('true')], {env})).finished();
  expect(await join(name)).toMatchObject({code: 0});
  expect(await join(newName())).toMatchObject({code: 4, stderr: expect.stringContaining('NOT_ALLOWED')});
});

test.for<[string, string[], string[], string]>([
  ['another size', ['--size', '3'], ['--size', '2'], 'CLUSTER_INVALID'],
  ['the same rank', ['--size', '2', '--rank', '0'], ['--size', '2', '--rank', '0'], 'MEMBER_NAME_USED'],
])('a second member with %s is refused', async ([, ours, theirs, code], {scope}) => {
  const name = newName();
  const one = await member(scope, [name, ...ours, ...shell('true')]);
  await one.saidOnStderr(/^waiting for /m);
  const two = await (await member(scope, [name, ...theirs, '--json', ...shell('true')])).finished();
  expect(JSON.parse(two.stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({type: 'error', code});
});

test('nothing is left of a member that is killed, and it can come again with its rank', async ({scope}) => {
  const name = newName();
  const stateDir = await scope.tempDir('again');
  if (first === 'user' && process.getuid?.() === 0) await chmod(stateDir, 0o777);
  const words = [name, '--size', '2', '--rank', '0', ...shell('readlink /proc/self/ns/net')];
  const one = await member(scope, words, {env: {TUNL_STATE_DIR: stateDir}});
  await one.saidOnStderr(/^waiting for 1 of 2 members$/m);
  one.signal('SIGKILL');
  await one.exited;
  const again = await member(scope, words, {env: {TUNL_STATE_DIR: stateDir}});
  const two = await member(scope, [name, '--size', '2', '--rank', '1', ...shell('true')]);
  expect([(await again.finished()).code, (await two.finished()).code]).toEqual([0, 0]);
});

// `tunl cluster run`: members of one machine, as root and as an ordinary user.

import {readdirSync, readFileSync, readlinkSync} from 'node:fs';
import {chmod, readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {describe, expect} from 'vitest';
import {run} from '../helpers/child.js';
import {eventsOf, runCluster, startCluster, USERS} from '../helpers/cluster.js';
import {deafPort} from '../helpers/deaf-port.js';
import {test} from '../helpers/test.js';
import {parseEvent} from '../project/event-schema.js';

const MEMBER = fileURLToPath(new URL('../helpers/cluster-member.py', import.meta.url));
const FABRIC = new URL('../../dist/lib/seal/fabric/fabric.js', import.meta.url);

const shell = (script: string) => ['--', 'sh', '-c', script];

/** Resolves when no process runs in the namespace. */
async function isGone(namespace: string): Promise<void> {
  const isUsed = () =>
    readdirSync('/proc').some((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/ns/pid`) === namespace;
      } catch {
        return false;
      }
    });
  while (isUsed()) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** The mounts of this machine, without the named network namespaces that programs beside this test make and remove. */
const mountsNow = () =>
  readFileSync('/proc/self/mounts', 'latin1')
    .split('\n')
    .filter((line) => !line.includes(' /run/netns/'));

describe.each(USERS)('for %s', (user) => {
  test('members reach one another by name, with TCP and UDP, and own nothing more than their user', async ({
    scope,
  }) => {
    const mounts = mountsNow();
    const {code, lines, stderr} = await runCluster(
      scope,
      user,
      ['run', '--size', '3', '--isolated', '--', 'python3', MEMBER],
      {env: {TUNL_TOKEN: 'secret'}},
    );
    expect(code, stderr).toBe(0);
    const own = JSON.parse(lines[0] ?? '');
    const told = [...stderr.matchAll(/^\[(\d)\] (\{.*)$/gm)];
    const others = told.map(([, rank, text]) => ({rank: Number(rank), facts: JSON.parse(text ?? '')}));
    expect(lines).toHaveLength(1);
    expect(others.map(({rank, facts}) => rank === facts.rank)).toEqual([true, true]);
    const all = [own, ...others.map(({facts}) => facts)].sort((a, b) => a.rank - b.rank);
    const id = own.variables.TUNL_CLUSTER_ID;
    const addresses = own.variables.TUNL_CLUSTER_ADDRS.split(',');
    expect(addresses.every((each: string) => /^fdaa:[0-9a-f]+:[0-9a-f]+::[123]$/.test(each))).toBe(true);
    const uid = user === 'root' || process.getuid?.() === 1000 ? (process.getuid?.() ?? 0) : 1000;
    for (const [rank, facts] of all.entries()) {
      const address = addresses[rank];
      expect(facts).toEqual({
        rank,
        uid: user === 'root' ? 0 : uid,
        capabilities: ['0000000000000000', '0000000000000000', '0000000000000000'],
        noNewPrivs: true,
        host: `rank${rank}`,
        name: `rank${rank}.${id}.tunl.internal`,
        own: [address, address, addresses[0]],
        devices: ['i6pn', 'lo'],
        seenAs: [address, address],
        datagrams: ['ping', 'ping'],
        closed: ['ECONNREFUSED', 'ECONNREFUSED'],
        folder: process.cwd(),
        mounts: true,
        variables: {
          NODE_RANK: String(rank),
          NNODES: '3',
          LOCAL_RANK: '0',
          MASTER_ADDR: `rank0.${id}.tunl.internal`,
          MASTER_PORT: '29500',
          TUNL_CLUSTER_ID: id,
          TUNL_CLUSTER_SIZE: '3',
          TUNL_CLUSTER_RANK: String(rank),
          TUNL_CLUSTER_ADDRS: addresses.join(','),
          TUNL_I6PN_ADDR: address,
          TUNL_STATE_DIR: facts.variables.TUNL_STATE_DIR,
          GLOO_SOCKET_IFNAME: 'i6pn',
          NCCL_SOCKET_IFNAME: 'i6pn',
          TP_SOCKET_IFNAME: 'i6pn',
          NCCL_SOCKET_FAMILY: 'AF_INET6',
          NCCL_HOSTID: `${id}-${rank}`,
        },
      });
    }
    expect(mountsNow()).toEqual(mounts);
  });

  test.for<[string, string[], number]>([
    ['all end well', shell('exit 0'), 0],
    ['one fails', shell('[ $RANK = 1 ] && exit 9; sleep 600'), 9],
    ['one is killed', shell('[ $RANK = 1 ] && kill -9 $$; sleep 600'), 137],
    [
      'the others ignore SIGTERM',
      ['--grace', '100ms', ...shell('trap "" TERM; [ $RANK = 1 ] && exit 9; while :; do sleep 600; done')],
      9,
    ],
    ['a child in the background goes on', shell('setsid sleep 600 & exit 0'), 0],
  ])('%s: %j ends with %i', async ([, words, code], {scope}) => {
    const ended = await runCluster(scope, user, ['run', '--size', '3', '--json', '--isolated', ...words]);
    expect(ended.code, ended.stderr).toBe(code);
    const events = eventsOf(ended.lines);
    expect(ended.lines.map((line) => parseEvent(line).type)).toEqual(events.map(({type}) => type));
    expect(events.filter(({type}) => type === 'cluster-exit')).toHaveLength(3);
    expect(events.at(-1)).toMatchObject({
      type: 'cluster-closed',
      exitCode: code,
      ...(code !== 0 && {failed: 1}),
    });
  });

  test.for<[string, NodeJS.Signals, number | null]>([
    ['killed', 'SIGKILL', null],
    ['interrupted', 'SIGINT', 130],
  ])('nothing is left of a cluster that is %s', async ([, signal, code], {scope}) => {
    const script =
      'trap "echo told; exit 0" TERM; setsid sleep 600 & readlink /proc/self/ns/pid; while :; do sleep 0.05; done';
    const cluster = await startCluster(scope, user, ['run', '--size', '2', ...shell(script)]);
    const namespace = await cluster.line((line) => line.startsWith('pid:'));
    await cluster.saidOnStderr(/^\[1\] pid:/m);
    cluster.signal(signal);
    expect((await cluster.exited).code).toBe(code);
    await isGone(namespace);
    expect(cluster.stderr.includes('[1] told')).toBe(code !== null);
  });
});

const [first = 'user'] = USERS;

/** A process loses its parent and ends; then its number must be free. */
const ORPHAN = `
rm -f "$1"
(sh -c 'echo $$ > "$1.new" && mv "$1.new" "$1"' sh "$1" &)
until [ -s "$1" ]; do sleep 0.05; done
pid=$(cat "$1")
for times in $(seq 100); do [ -e "/proc/$pid" ] || exit 0; sleep 0.05; done
exit 9
`;

test('processes that have lost their parent leave no zombies, also when a member kills all that it can', async ({
  scope,
}) => {
  const file = join(await scope.tempDir('orphan'), 'pid');
  const orphan = ['sh', '-c', ORPHAN, 'sh', file];
  const first = await runCluster(scope, 'root', ['run', '--size', '1', '--', ...orphan]);
  expect(first.code, first.stderr).toBe(0);
  const killing = `trap '' TERM; kill -TERM -1; sleep 0.2; exec sh -c '${ORPHAN.replaceAll("'", "'\\''")}' sh ${file}`;
  const second = await runCluster(scope, 'root', ['run', '--size', '1', ...shell(killing)]);
  expect(second.code, second.stderr).toBe(0);
});

test('stdout has the bytes of rank 0 as they are, and stderr whole lines of the others', async ({scope}) => {
  const folder = await scope.tempDir('bytes');
  const [sent, stdoutFile] = [join(folder, 'sent'), join(folder, 'received')];
  const script = `if [ $RANK = 0 ]; then head -c 3000000 /dev/urandom | tee '${sent}'; else
    for i in $(seq 500); do echo "line $i of {rank}"; printf 'cut in two '; echo '{size}'; done; fi`;
  const words = ['run', '--size', '3', '--isolated', ...shell(script)];
  const {code, stderr} = await runCluster(scope, first, words, {stdoutFile});
  expect(code, stderr.slice(-500)).toBe(0);
  expect((await readFile(stdoutFile)).equals(await readFile(sent))).toBe(true);
  for (const rank of [1, 2]) {
    const lines = stderr.split('\n').filter((line) => line.startsWith(`[${rank}] `));
    expect(lines.map((line) => line.slice(4))).toEqual(
      Array.from({length: 500}, (_, i) => [`line ${i + 1} of ${rank}`, 'cut in two 3']).flat(),
    );
  }
});

test('all members start again after a failure, in a new network', async ({scope}) => {
  const folder = await scope.tempDir('epochs');
  await chmod(folder, 0o777);
  // The kernel gives the number of a namespace that has ended to the next one, but no cookie twice (SO_NETNS_COOKIE is 71).
  const cookie = `import socket; print(int.from_bytes(socket.socket().getsockopt(1, 71, 8), 'little'))`;
  const script = `python3 -c "${cookie}" >> '${folder}/seen'
    if [ -d '${folder}/tried' ]; then exit 0; fi
    if [ $RANK = 0 ]; then sleep 600; fi
    until [ "$(wc -l < '${folder}/seen')" = 2 ]; do sleep 0.02; done
    mkdir '${folder}/tried'; exit 3`;
  const words = ['run', '--size', '2', '--json', '--isolated', '--restarts', '2', ...shell(script)];
  const {code, lines, stderr} = await runCluster(scope, first, words);
  expect(code, stderr).toBe(0);
  const events = eventsOf(lines);
  const starts = events.filter((event) => event.type === 'cluster-start');
  expect(starts.map(({epoch}) => epoch)).toEqual([1, 2]);
  expect(events.filter(({type}) => type === 'cluster-member')).toHaveLength(2);
  const seen = (await readFile(join(folder, 'seen'), 'utf8')).trim().split('\n');
  expect(new Set(seen).size).toBe(4);
});

test('after the last restart the code of the failure is left', async ({scope}) => {
  const words = ['run', '--size', '1', '--json', '--isolated', '--restarts', '1', '--', 'sh', '-c', 'exit 5'];
  const {code, lines} = await runCluster(scope, first, words);
  expect(code).toBe(5);
  const events = eventsOf(lines);
  expect(events.filter(({type}) => type === 'cluster-start')).toHaveLength(2);
  const id = expect.any(String);
  expect(events.filter(({type}) => type === 'cluster-restart')).toEqual([
    {type: 'cluster-restart', cluster: id, epoch: 2, delayMs: 1_000, exitCode: 5, failed: 0},
  ]);
});

test('a machine without descriptors for all members says so, and keeps none', async ({scope}) => {
  const script = `
    import {execFileSync} from 'node:child_process';
    import {readdirSync} from 'node:fs';
    import {Fabric} from '${FABRIC}';
    const files = () => readdirSync('/proc/self/fd').length;
    const open = () => Fabric.open({size: 8, prefix: 'fdaa:1:2', hosts: '', hasWayOut: false});
    await (await open()).close();
    const before = files();
    execFileSync('prlimit', ['--pid=' + process.pid, '--nofile=' + (before + 24)]);
    await open().then(() => console.log('opened'), ({code, next}) => console.log(code, next));
    console.log(files() - before);`;
  const {stdout, stderr} = await run(scope, process.execPath, ['--input-type=module', '-e', script]);
  expect(stdout, stderr).toBe('CLUSTER_UNAVAILABLE Raise the limit of open files: ulimit -n 4096\n0\n');
});

test('the program that dials members starts again after its end', async ({scope}) => {
  const script = `
    import {readFileSync} from 'node:fs';
    import {Fabric} from '${FABRIC}';
    const fabric = await Fabric.open({size: 1, prefix: 'fdaa:1:2', hosts: '', hasWayOut: false});
    const dial = () => fabric.dialInside(0, 9).then(() => 'open', ({code}) => code);
    const before = await dial();
    const children = readFileSync('/proc/self/task/' + process.pid + '/children', 'utf8').trim().split(' ');
    const dialler = children.find((pid) => readFileSync('/proc/' + pid + '/cmdline', 'utf8').includes('dialler.js'));
    process.kill(Number(dialler), 'SIGKILL');
    console.log(before, await dial(), await dial());
    await fabric.close();`;
  const {stdout, stderr} = await run(scope, process.execPath, ['--input-type=module', '-e', script]);
  expect(stdout, stderr).toBe('ECONNREFUSED ECONNABORTED ECONNREFUSED\n');
});

test('the end of the process that keeps the network is the end of all', async ({scope}) => {
  const words = ['run', '--size', '2', '--json', '--isolated', '--restarts', '3', ...shell('sleep 600')];
  const cluster = await startCluster(scope, first, words);
  await cluster.line((line) => line.includes('"cluster-start"'));
  const [holder] = readFileSync(`/proc/${cluster.pid}/task/${cluster.pid}/children`, 'utf8').split(' ');
  process.kill(Number(holder), 'SIGKILL');
  expect((await cluster.exited).code).toBe(5);
  expect(JSON.parse(cluster.lines.at(-1) ?? '')).toMatchObject({type: 'error', code: 'CLUSTER_LOST'});
});

test('32 members', async ({scope}) => {
  const {code, stderr} = await runCluster(scope, first, ['run', '--size', '32', '--', 'sleep', '0.1']);
  expect(code, stderr).toBe(0);
});

test('an end that is asked for while a public address opens', async ({scope}) => {
  const relay = `https://127.0.0.1:${await deafPort(scope)}`;
  const address = ['--expose', '0:80', '--relay', relay, '--wait'];
  const words = ['run', '--size', '1', '--json', ...address, '--', 'true'];
  const child = await startCluster(scope, first, words, {env: {TUNL_TOKEN: 'a-token-that-is-long-enough'}});
  await child.line((line) => line.includes('"cluster-member"'));
  child.signal('SIGTERM');
  expect((await child.exited).code).toBe(130);
  expect(eventsOf(child.lines).map(({type}) => type)).toEqual(['cluster-member', 'cluster-closed']);
});

test.for<[string, string[], string, number]>([
  ['size 0', ['--size', '0', '--', 'true'], 'CLUSTER_INVALID', 2],
  ['size 33', ['--size', '33', '--', 'true'], 'CLUSTER_INVALID', 2],
  ['a size that is no number', ['--size', 'many', '--', 'true'], 'CLUSTER_INVALID', 2],
  ['no size', ['--', 'true'], 'CLUSTER_INVALID', 2],
  ['a rank that is none', ['--size', '2', '--expose', '2:80', '--', 'true'], 'CLUSTER_INVALID', 2],
  ['a port without a rank', ['--size', '2', '--expose', '80', '--', 'true'], 'CLUSTER_INVALID', 2],
  [
    'a port that is exposed twice',
    ['--size', '2', '--expose', '0:80', '--expose', '0:80', '--', 'true'],
    'CLUSTER_INVALID',
    2,
  ],
  ['no command', ['--size', '2'], 'USAGE', 2],
  ['a program that is missing', ['--size', '2', '--', 'no-such-program'], 'PROGRAM_MISSING', 8],
])('%s: %j → %s', async ([, words, code, exitCode], {scope}) => {
  const ended = await runCluster(scope, first, ['run', '--json', ...words]);
  expect(JSON.parse(ended.lines.at(-1) ?? '')).toMatchObject({type: 'error', code, exitCode});
  expect(ended.code).toBe(exitCode);
});

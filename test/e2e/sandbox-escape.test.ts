// What a program in a sandbox of bubblewrap cannot do, as root and as an ordinary user; and what stays of sandboxes: nothing.

import {execFileSync} from 'node:child_process';
import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {chmod, chown, mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {describe, expect} from 'vitest';
import {escapeSuite, gone, processesWith} from '../helpers/escape-suite.js';
import {BUBBLEWRAP, SandboxDriver} from '../helpers/sandboxes.js';
import {test} from '../helpers/test.js';

const isRoot = process.getuid?.() === 0;
/** An ordinary user without an account, when the tests run as root. */
const USER = ['setpriv', '--reuid=21212', '--regid=21212', '--clear-groups', '--'];
const hasV1 = existsSync('/sys/fs/cgroup/memory/memory.limit_in_bytes');

if (isRoot) {
  escapeSuite({...BUBBLEWRAP, title: 'as root', real: hasV1 ? ['memoryBytes', 'cpus', 'pids'] : ['pids']});
}
escapeSuite({...BUBBLEWRAP, title: 'as an ordinary user', as: isRoot ? USER : [], real: ['pids']});

/** Control groups of these sandboxes, and mounts that were made for one. */
function leftovers(ids: readonly string[]): string[] {
  const groups = ['memory', 'pids', 'cpu', 'cpuacct'].flatMap((controller) =>
    ids.map((id) => `/sys/fs/cgroup/${controller}/tunl-sandboxes/${id}`),
  );
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return [
    ...groups.filter((folder) => existsSync(folder)),
    ...mounts.filter((line) => line.includes('/tunl-box-')),
  ];
}

describe.runIf(isRoot)('below root', () => {
  test('a sandbox is a user whom no account has, and another one each time', async ({scope}) => {
    const driver = new SandboxDriver(scope, BUBBLEWRAP);
    const marks = ['8800001', '8800002'];
    const boxes = await Promise.all(marks.map((mark) => driver.create({command: ['sleep', mark]})));
    const uids = marks.map((mark) => {
      const [pid] = processesWith(mark);
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      expect(status).toMatch(/^CapEff:\t0{16}$/m);
      expect(status).toMatch(/^Groups:\t *$/m);
      return Number(/^Uid:\t(\d+)/m.exec(status)?.[1]);
    });
    expect(new Set(uids).size).toBe(2);
    for (const uid of uids) expect(uid).toBeGreaterThan(60_000);
    for (const box of boxes) await box.destroy();
  });

  test('folders of root are visible inside when they are mounted, and nothing beside them', async ({
    scope,
  }) => {
    const folder = await scope.tempDir('root');
    await mkdir(join(folder, "odd ' name"));
    await writeFile(join(folder, "odd ' name", 'file'), 'hello', {mode: 0o644});
    await writeFile(join(folder, 'beside'), 'secret');
    await chmod(folder, 0o700);
    const driver = new SandboxDriver(scope, BUBBLEWRAP);
    const box = await driver.create({
      command: ['sleep', '1000'],
      mounts: [{source: join(folder, "odd ' name"), target: '/project', readOnly: true}],
    });
    expect((await box.sh('cat /project/file; echo x > /project/file')).stdout).toBe('hello');
    expect((await box.sh('ls /mnt /srv /media; cat /proc/mounts')).stdout).not.toContain('beside');
    await box.destroy();
  });

  test('a folder to write to belongs to the sandbox’s user, or is refused', async ({scope}) => {
    const folder = await scope.tempDir('home');
    const driver = new SandboxDriver(scope, BUBBLEWRAP);
    const mounts = [{source: folder, target: '/home/user/kept', readOnly: false}];
    const command = ['sh', '-c', 'id -u; echo new > kept/file'];
    await expect(driver.create({command, mounts})).rejects.toMatchObject({code: 'OPTION_INVALID'});
    await chown(folder, 1_900_000_123, 1_900_000_123);
    for (const hostUid of [undefined, 1_900_000_123]) {
      const box = await driver.create({command, mounts, ...(hostUid !== undefined && {hostUid})});
      expect(await box.ended()).toMatchObject({code: 0, stdout: '1000\n', stderr: ''});
      await box.destroy();
    }
    expect(execFileSync('stat', ['-c', '%u', join(folder, 'file')], {encoding: 'utf8'})).toBe('1900000123\n');
  });

  test('descriptors that tunl has inherited are closed inside', async ({scope}) => {
    const leak = ['bash', '-c', 'exec 7</root 200</etc/shadow; exec "$@"', 'bash'];
    const driver = new SandboxDriver(scope, {...BUBBLEWRAP, as: leak});
    const box = await driver.create({command: ['sleep', '1000']});
    const {stdout} = await box.sh('ls -l /proc/[0-9]*/fd 2>/dev/null');
    expect(stdout).toContain('socket:');
    expect(stdout).not.toMatch(/shadow|-> \/root/);
    await box.destroy();
  });

  test('a dead owner’s control groups are swept, a living one’s are kept', async ({scope}) => {
    const dead = new SandboxDriver(scope, BUBBLEWRAP);
    const box = await dead.create({command: ['sleep', '8800003']});
    dead.child.signal('SIGKILL');
    await dead.child.exited;
    await gone('8800003');
    const folder = `/sys/fs/cgroup/pids/tunl-sandboxes/${box.id}`;
    const driver = new SandboxDriver(scope, BUBBLEWRAP);
    const living = await driver.create({command: ['sleep', '1000']});
    expect(existsSync(folder)).toBe(hasV1);
    await driver.ask('sweep', {dead: [box.id]});
    expect(existsSync(folder)).toBe(false);
    expect((await living.sh('echo here')).stdout).toBe('here\n');
    await living.destroy();
    expect(leftovers([box.id, living.id])).toEqual([]);
  });

  test.runIf(hasV1)('the processors’ time is limited for all processes together', async ({scope}) => {
    const driver = new SandboxDriver(scope, BUBBLEWRAP);
    const box = await driver.create({command: ['sleep', '1000'], limits: {cpus: 0.25}});
    const folder = `/sys/fs/cgroup/cpu/tunl-sandboxes/${box.id}`;
    expect(readFileSync(`${folder}/cpu.cfs_quota_us`, 'utf8')).toBe('25000\n');
    await box.sh('timeout 0.5 sh -c "while :; do :; done" & timeout 0.5 sh -c "while :; do :; done"; wait');
    expect(
      Number(/nr_throttled (\d+)/.exec(readFileSync(`${folder}/cpu.stat`, 'utf8'))?.[1]),
    ).toBeGreaterThan(0);
    expect((await box.stats()).cpuMs).toBeGreaterThan(0);
    await box.destroy();
  });

  test('nothing stays of many sandboxes', async ({scope}) => {
    const driver = new SandboxDriver(scope, BUBBLEWRAP);
    const ids: string[] = [];
    const descriptors = () => readdirSync(`/proc/${driver.child.pid}/fd`).length;
    await (await driver.create({command: ['sleep', '8800004']})).destroy();
    const open = descriptors();
    for (let round = 0; round < 5; round += 1) {
      const boxes = await Promise.all(
        Array.from({length: 4}, () => driver.create({command: ['sleep', '8800004'], limits: {pids: 50}})),
      );
      ids.push(...boxes.map((box) => box.id));
      await Promise.all(boxes.map((box) => box.destroy()));
    }
    expect(processesWith('8800004')).toEqual([]);
    expect(leftovers(ids)).toEqual([]);
    // The lock of a user id is one as well.
    expect(descriptors()).toBeLessThanOrEqual(open + 2);
  });
});

test('nothing of a user stands in the list of processes of the host', async ({scope}) => {
  const folder = await scope.tempDir('named-xyzzy');
  await chmod(folder, 0o755);
  const driver = new SandboxDriver(scope, {...BUBBLEWRAP, as: isRoot ? USER : []});
  const box = await driver.create({
    command: ['sleep', '8800005'],
    env: {TOKEN: 'xyzzy-token'},
    mounts: [{source: folder, target: '/xyzzy', readOnly: true}],
  });
  const [pid = 0] = processesWith('8800005');
  // The command itself is what the sandbox shows.
  for (const name of readdirSync('/proc').filter((text) => /^\d+$/.test(text) && Number(text) !== pid)) {
    let words = '';
    try {
      words = readFileSync(`/proc/${name}/cmdline`, 'utf8');
    } catch {
      continue;
    }
    if (Number(name) === process.pid) continue;
    expect(words).not.toMatch(/xyzzy|8800005/);
  }
  await box.destroy();
});

test('the probe is quick and says what is real', async ({scope}) => {
  const driver = new SandboxDriver(scope, {...BUBBLEWRAP, as: isRoot ? USER : []});
  const {report} = await driver.probe();
  expect(report).toMatchObject({
    available: true,
    limits: {pids: {reality: 'real'}, diskBytes: {reality: 'real'}},
  });
  expect(report.version).toMatch(/^bubblewrap \d/);
});

test.runIf(isRoot)(
  'user namespaces that are off are an error with the reason and the next step',
  async ({scope}) => {
    const off = [
      ...USER,
      ...['unshare', '--user', '--map-current-user', '--keep-caps', 'sh', '-c'],
      'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --inh-caps=-all --ambient-caps=-all -- "$@"',
      'sh',
    ];
    const driver = new SandboxDriver(scope, {...BUBBLEWRAP, as: off});
    const {report} = await driver.probe();
    expect(report).toMatchObject({
      available: false,
      why: expect.stringContaining('user.max_user_namespaces is 0'),
      mend: expect.stringContaining('sysctl -w user.max_user_namespaces='),
      egress: {reality: 'none'},
    });
    await expect(driver.create({command: ['true']})).rejects.toMatchObject({
      code: 'SANDBOX_FAILED',
      message: expect.stringContaining('user.max_user_namespaces is 0'),
    });
  },
);

test('a server inside is dialled, over IPv4 and IPv6; a closed port is refused', async ({scope}) => {
  const driver = new SandboxDriver(scope, {...BUBBLEWRAP, as: isRoot ? USER : []});
  const server = `import socket, sys
for f, a, p in ((socket.AF_INET, '127.0.0.1', 8001), (socket.AF_INET6, '::1', 8002)):
  s = socket.socket(f); s.bind((a, p)); s.listen(); globals()['s%d' % p] = s
print('ready', flush=True)
while True:
  for s in (s8001, s8002): c, _ = s.accept(); c.send(b'hello'); c.close()`;
  const box = await driver.create({command: ['python3', '-u', '-c', server]});
  while ((await box.sh('grep -c " 0A " /proc/net/tcp /proc/net/tcp6')).stdout.includes(':0'));
  expect(await box.dial(8001)).toBe('hello');
  expect(await box.dial(8002)).toBe('hello');
  await expect(box.dial(8003)).rejects.toMatchObject({code: 'ECONNREFUSED'});
  await box.destroy();
});

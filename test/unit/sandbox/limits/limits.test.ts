// Limits: where control groups are, what is written into them, and what is refused.

import {existsSync} from 'node:fs';
import {access, mkdir, readdir, utimes, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {describe, expect} from 'vitest';
import type {BackendReport, Finding} from '../../../../src/lib/sandbox/backend.js';
import {pidsFinding} from '../../../../src/lib/sandbox/bubblewrap/probe.js';
import {findV1, makeFolder, sweepFolder} from '../../../../src/lib/sandbox/limits/cgroup-v1.js';
import {findV2, GroupV2, settingsV2} from '../../../../src/lib/sandbox/limits/cgroup-v2.js';
import {unrealLimits, withoutLimits} from '../../../../src/lib/sandbox/limits/choose-limits.js';
import {GROUP_NAME, type GroupMaker} from '../../../../src/lib/sandbox/limits/control-group.js';
import {processesOf} from '../../../../src/lib/sandbox/limits/kill-group.js';
import {parseMounted} from '../../../../src/lib/sandbox/limits/mounted.js';
import {scopeWords} from '../../../../src/lib/sandbox/limits/systemd-scope.js';
import {Child} from '../../../helpers/child.js';
import type {Scope} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';

const MIB = 1024 * 1024;

describe('where control groups are mounted', () => {
  test('version 2 on a host', () => {
    const {v1, v2} = parseMounted(
      '30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n',
      '0::/user.slice/user-1000.slice/session-2.scope\n',
    );
    expect(v1.size).toBe(0);
    expect(v2).toEqual({mount: '/sys/fs/cgroup', own: '/user.slice/user-1000.slice/session-2.scope'});
  });

  test('version 1, some controllers together, and version 2 beside it', () => {
    const {v1, v2} = parseMounted(
      [
        '31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct',
        '32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory',
        '33 30 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
        '34 30 0:30 / /odd\\040name rw - cgroup cgroup rw,pids',
      ].join('\n'),
      '4:pids:/\n3:memory:/job\n2:cpu,cpuacct:/\n0::/\n',
    );
    expect(v1.get('cpu')?.mount).toBe(v1.get('cpuacct')?.mount);
    expect(v1.get('memory')).toEqual({mount: '/sys/fs/cgroup/memory', own: '/job'});
    expect(v1.get('pids')?.mount).toBe('/odd name');
    expect(v2?.own).toBe('/');
  });

  test('in a container the mount shows a part of the tree', () => {
    const {v1} = parseMounted(
      '32 30 0:28 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n',
      '3:memory:/docker/abc/x\n',
    );
    expect(v1.get('memory')?.own).toBe('/x');
  });
});

/** Files as the kernel would make them. */
async function fakeV2(scope: Scope, controllers = 'cpu memory pids') {
  const mount = await scope.tempDir('cgroup');
  const own = join(mount, 'user/app');
  await mkdir(own, {recursive: true});
  for (const folder of [mount, join(mount, 'user'), own]) {
    await writeFile(join(folder, 'cgroup.procs'), folder === own ? '4242\n' : '');
    await writeFile(join(folder, 'cgroup.controllers'), controllers);
    await writeFile(join(folder, 'cgroup.subtree_control'), folder === own ? '' : controllers);
  }
  return {mount, v2: {mount, own: '/user/app'}, v1: new Map()};
}

describe('version 2', () => {
  test('groups are made below the nearest one that hands on controllers', async ({scope}) => {
    const mounted = await fakeV2(scope);
    const maker = await findV2(mounted);
    expect(maker?.findings.memoryBytes.reality).toBe('real');
    // The kernel would make these files.
    const folder = join(mounted.mount, 'user', GROUP_NAME);
    await mkdir(folder);
    const group = await maker?.make('sb_aaaaaaaa', {});
    expect(group?.enter).toEqual([join(folder, 'sb_aaaaaaaa/cgroup.procs')]);
    await writeFile(join(folder, 'sb_aaaaaaaa', 'memory.events'), 'low 0\noom 3\noom_kill 2\n');
    await writeFile(join(folder, 'sb_aaaaaaaa', 'memory.current'), '4096\n');
    await writeFile(join(folder, 'sb_aaaaaaaa', 'cpu.stat'), 'usage_usec 5000\nuser_usec 1\n');
    expect(await group?.oomKills()).toBe(2);
    expect(await group?.stats()).toEqual({memoryBytes: 4096, cpuMs: 5, pids: undefined});
  });

  test('a controller that is not handed on is no limit', async ({scope}) => {
    const maker = await findV2(await fakeV2(scope, 'pids'));
    expect(maker?.findings.memoryBytes).toMatchObject({
      reality: 'none',
      why: expect.stringContaining('memory'),
    });
    expect(maker?.findings.pids.reality).toBe('real');
  });

  test('memory is without swap', () => {
    expect(settingsV2({memoryBytes: MIB, pids: 7, cpus: 0.5})).toEqual([
      ['memory.max', '1048576'],
      ['memory.swap.max', '0'],
      ['pids.max', '7'],
      ['cpu.max', '50000 100000'],
    ]);
    expect(settingsV2({})).toEqual([]);
    expect(scopeWords('sb_aaaaaaaa', {memoryBytes: MIB, pids: 7, cpus: 0.5})).toEqual(
      expect.arrayContaining([
        `--unit=${GROUP_NAME}-sb_aaaaaaaa.scope`,
        '--property=MemoryMax=1048576',
        '--property=MemorySwapMax=0',
        '--property=TasksMax=7',
        '--property=CPUQuota=50%',
      ]),
    );
  });
});

const UNIFIED = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'].find((path) =>
  existsSync(`${path}/cgroup.controllers`),
);

test.runIf(process.getuid?.() === 0 && UNIFIED !== undefined)(
  'a process enters its group first, and the end of the group ends what it has started',
  async ({scope}) => {
    const top = join(UNIFIED ?? '', `tunl-test-${process.pid}`);
    const group = new GroupV2(join(top, 'sb_aaaaaaaa'));
    await makeFolder(group.folder);
    scope.onEnd(() => group.destroy());
    const script = `echo $$ > '${group.enter[0]}'; setsid sleep 1000 & setsid sleep 1000 & echo $$ $!; wait`;
    const child = Child.start(scope, 'sh', ['-c', script], {stopSignal: 'SIGKILL'});
    const pids = (await child.line()).split(' ').map(Number);
    expect(await processesOf(group.folder)).toEqual(expect.arrayContaining(pids));
    await group.destroy();
    expect(await child.exited).toMatchObject({signal: 'SIGKILL'});
    await expect(access(top)).rejects.toThrow();
    await group.destroy();
  },
);

test.runIf(process.getuid?.() === 0 && UNIFIED !== undefined)(
  'a group that has been empty for long is removed, a new one and one with processes are not',
  async ({scope}) => {
    const top = join(UNIFIED ?? '', `tunl-test-old-${process.pid}`);
    const ids = ['sb_aaaaaaaa', 'sb_bbbbbbbb', 'sb_cccccccc'];
    const [old, used, young] = ids.map((id) => new GroupV2(join(top, id)));
    if (old === undefined || used === undefined || young === undefined) throw new Error('three groups');
    for (const group of [old, used, young]) {
      await makeFolder(group.folder);
      scope.onEnd(() => group.destroy());
    }
    const child = Child.start(scope, 'sh', ['-c', `echo $$ > '${used.enter[0]}'; echo in; exec sleep 1000`], {
      stopSignal: 'SIGKILL',
    });
    await child.line();
    const longAgo = new Date(Date.now() - 3_600_000);
    for (const group of [old, used]) await utimes(group.folder, longAgo, longAgo);
    await sweepFolder(top, () => Promise.resolve(true));
    expect((await readdir(top)).filter((name) => name.startsWith('sb_')).sort()).toEqual([
      'sb_bbbbbbbb',
      'sb_cccccccc',
    ]);
  },
);

test('version 1 writes each limit to its controller, and sweeps what has no owner', async ({scope}) => {
  const root = await scope.tempDir('cgroup');
  const v1 = new Map(
    ['memory', 'pids', 'cpu', 'cpuacct'].map((name) => [name, {mount: join(root, name), own: '/'}]),
  );
  for (const {mount} of v1.values()) await mkdir(mount);
  await writeFile(join(root, 'memory/memory.limit_in_bytes'), '');
  const maker = await findV1({v1, v2: undefined});
  expect(maker?.findings).toMatchObject({
    memoryBytes: {reality: 'real'},
    cpus: {reality: 'none'},
    pids: {reality: 'real'},
  });
  // No kernel makes the files of the group, so writing them fails, and nothing stays.
  await expect(maker?.make('sb_aaaaaaaa', {memoryBytes: MIB})).rejects.toMatchObject({code: 'SANDBOX_LIMIT'});
  await expect(access(join(root, 'memory', GROUP_NAME))).rejects.toThrow();
  const groups = ['sb_aaaaaaaa', 'sb_bbbbbbbb', 'sb_cccccccc', 'somebody'];
  for (const id of groups) await mkdir(join(root, 'pids', GROUP_NAME, id), {recursive: true});
  await maker?.sweep((id) => Promise.resolve(id !== 'sb_aaaaaaaa'));
  await expect(access(join(root, 'pids', GROUP_NAME, 'sb_aaaaaaaa'))).rejects.toThrow();
  await access(join(root, 'pids', GROUP_NAME, 'sb_bbbbbbbb'));
  await access(join(root, 'pids', GROUP_NAME, 'somebody'));
});

describe('a limit that is not real', () => {
  const real: Finding = {what: 'x', reality: 'real'};
  const none: Finding = {what: 'x', reality: 'none', why: 'It is so.', mend: 'Do that.'};
  const findings: BackendReport['limits'] = {
    memoryBytes: none,
    cpus: none,
    pids: real,
    diskBytes: real,
    openFiles: real,
  };

  test('is an error with the reason and the next step', () => {
    expect(() => unrealLimits({memoryBytes: MIB}, findings, false)).toThrow(
      expect.objectContaining({
        code: 'SANDBOX_LIMIT',
        message: expect.stringContaining('It is so.'),
        next: 'Do that.',
      }),
    );
    expect(unrealLimits({pids: 5, diskBytes: 7}, findings, false)).toEqual([]);
    expect(unrealLimits({}, findings, false)).toEqual([]);
  });

  test('is left out and named with bestEffort', () => {
    const asked = {memoryBytes: MIB, cpus: 1, pids: 5};
    const unreal = unrealLimits(asked, findings, true);
    expect(unreal).toEqual(['memoryBytes', 'cpus']);
    expect(withoutLimits(asked, unreal)).toEqual({pids: 5});
  });

  test('processes are counted in each user namespace since Linux 5.14', () => {
    const groups = {findings: {memoryBytes: none, cpus: none, pids: none}} as unknown as GroupMaker;
    expect(pidsFinding(groups, '/usr/bin/prlimit', '5.13.0-1').reality).toBe('none');
    expect(pidsFinding(groups, '/usr/bin/prlimit', '5.14.0').reality).toBe('real');
    expect(pidsFinding(groups, '/usr/bin/prlimit', '6.1.0-9-amd64').reality).toBe('real');
    expect(pidsFinding(groups, undefined, '6.1.0').reality).toBe('none');
  });
});

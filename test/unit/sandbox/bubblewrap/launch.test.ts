// The words that start bwrap: what stands in them, and what does not.

import {describe, expect, test} from 'vitest';
import {bwrapArguments} from '../../../../src/lib/sandbox/bubblewrap/arguments.js';
import {explain, tooOld} from '../../../../src/lib/sandbox/bubblewrap/findings.js';
import {nodeLibraries} from '../../../../src/lib/sandbox/bubblewrap/host-tools.js';
import {
  launchScript,
  launchWords,
  newStage,
  putOnStage,
} from '../../../../src/lib/sandbox/bubblewrap/launch-script.js';
import {isSandboxUid, takeUid} from '../../../../src/lib/sandbox/bubblewrap/own-uid.js';

const list = (options: Partial<Parameters<typeof bwrapArguments>[0]> = {}) =>
  bwrapArguments({shown: [], mounts: [], limits: {}, hasFilter: true, sharesNetwork: false, ...options});

/** The words after each `name`. */
const wordsAfter = (words: readonly string[], name: string, count = 1) =>
  words.flatMap((word, at) => (word === name ? [words.slice(at + 1, at + 1 + count).join(' ')] : []));

describe('the arguments of bwrap', () => {
  test('every wall is asked for', () => {
    const words = list();
    for (const word of [
      '--unshare-all',
      '--unshare-user',
      '--disable-userns',
      '--new-session',
      '--die-with-parent',
      '--clearenv',
    ])
      expect(words).toContain(word);
    expect(wordsAfter(words, '--cap-drop')).toEqual(['ALL']);
    expect(wordsAfter(words, '--uid')).toEqual(['1000']);
    expect(wordsAfter(words, '--seccomp')).toEqual(['5']);
    expect(words).not.toContain('--share-net');
  });

  test('the sizes of what can be written add up to the disk', () => {
    for (const diskBytes of [1_000_000, 64 << 20, 10 * 2 ** 30]) {
      const sizes = wordsAfter(list({limits: {diskBytes}}), '--size').map(Number);
      expect(sizes).toHaveLength(2);
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(diskBytes);
    }
  });

  test('the working directory is made only where the sandbox may write', () => {
    expect(wordsAfter(list({workdir: '/srv/app'}), '--dir')).toContain('/srv/app');
    for (const workdir of ['/usr/share', '/proc/1', '/project/x'])
      expect(
        wordsAfter(
          list({
            workdir,
            mounts: [
              {source: '/a', target: '/project', readOnly: true, isFolder: true, identity: '1:2', owner: 0},
            ],
          }),
          '--dir',
        ),
      ).not.toContain(workdir);
  });
});

describe('the script', () => {
  const stage = () => newStage('/state/x/stage', (path) => path === '/srv');

  test('a user’s paths are words of the shell, whatever is in them', () => {
    const made = stage();
    expect(made).toBeDefined();
    if (made === undefined) return;
    expect(putOnStage(made, {source: "/a'; rm -rf $HOME", isFolder: true, identity: '1:2'})).toBe('/srv/0');
    expect(putOnStage(made, {source: '/b', isFolder: false})).toBe('/srv/1');
    expect(putOnStage(made, {source: '/b', isFolder: false})).toBe('/srv/1');
    const script = launchScript({
      bwrap: '/usr/bin/bwrap',
      init: ['node'],
      enter: [],
      asUser: {uid: 7, stage: made},
    });
    expect(script).toContain(`mount --rbind '/a'\\''; rm -rf $HOME' '/state/x/stage/0'`);
    expect(script).toContain(`[ "$(stat -c %d:%i '/state/x/stage/0')" = '1:2' ]`);
    expect(script).toContain("'--reuid=7' '--regid=7' '--clear-groups'");
    expect(script).toContain("'--bounding-set=-all'");
  });

  test('control groups are entered before anything else is started', () => {
    const lines = launchScript({bwrap: 'bwrap', init: [], enter: ['/cg/procs']}).split('\n');
    const entered = lines.findIndex((line) => line.includes("> '/cg/procs'"));
    expect(entered).toBeGreaterThan(0);
    expect(lines.findIndex((line) => line.startsWith('exec '))).toBeGreaterThan(entered);
  });

  test('the words in the list of processes are the same for all sandboxes', () => {
    expect(launchWords('/bin/bash', false)).toEqual(['/bin/bash', '-c', 'eval "$(cat <&6)"']);
    expect(launchWords('/bin/bash', true).slice(0, 5)).toEqual([
      'unshare',
      '--mount',
      '--propagation',
      'private',
      '--',
    ]);
  });
});

test('libraries of Node outside of /usr are found, add-ons are not', () => {
  const maps = [
    '7f0 r-xp 0 08:01 1 /usr/lib/x86_64-linux-gnu/libc.so.6',
    '7f1 r-xp 0 08:01 2 /opt/conda/lib/libuv.so.1.0.0',
    '7f2 r--p 0 08:01 2 /opt/conda/lib/libuv.so.1.0.0',
    '7f3 r-xp 0 08:01 3 /opt/app/pty.node',
    '7f4 rw-p 0 00:00 0 [heap]',
    '7f5 rw-p 0 00:00 0 ',
  ].join('\n');
  expect(nodeLibraries(maps)).toEqual(['/opt/conda/lib/libuv.so.1.0.0']);
});

describe('why bubblewrap does not work', () => {
  const settings = {clone: '', most: '', appArmor: ''};
  const rows: [string, Partial<typeof settings>, string, RegExp, RegExp][] = [
    ['user namespaces are off', {clone: '0'}, 'x', /unprivileged_userns_clone is 0/, /sysctl -w kernel/],
    ['none are allowed', {most: '0'}, 'x', /max_user_namespaces is 0/, /sysctl -w user/],
    [
      'AppArmor',
      {appArmor: '1'},
      'bwrap: setting up uid map: Permission denied',
      /AppArmor/,
      /bwrap-userns-restrict/,
    ],
    [
      'root of a container',
      {},
      'unshare: unshare failed: Operation not permitted',
      /root may not/,
      /SYS_ADMIN/,
    ],
    ['a container', {}, 'bwrap: No permissions to create new namespace', /namespaces here/, /seccomp/],
    [
      'a masked /proc',
      {},
      "bwrap: Can't mount proc on /newroot/proc: Operation not permitted",
      /\/proc/,
      /unmask/,
    ],
    ['something else', {}, 'bwrap: \u001b[31moh', /fails: bwrap: {2}\[31moh/, /unshare-all/],
  ];
  test.each(rows)('%s', (_what, change, said, why, mend) => {
    const found = explain(said, {...settings, ...change});
    expect(found.why).toMatch(why);
    expect(found.mend).toMatch(mend);
  });

  test('versions that lack what a sandbox needs', () => {
    expect(tooOld('bubblewrap 0.6.1')?.why).toContain('0.6.1');
    expect(tooOld('')?.why).toContain('unknown');
    for (const good of ['bubblewrap 0.8.0', 'bubblewrap 0.12.1', 'bubblewrap 1.0'])
      expect(tooOld(good)).toBeUndefined();
  });
});

test.runIf(process.platform === 'linux')('two sandboxes never have the same user', async () => {
  const all = await Promise.all(Array.from({length: 20}, () => takeUid()));
  try {
    expect(new Set(all.map(({uid}) => uid)).size).toBe(20);
    expect(all.every(({uid}) => isSandboxUid(uid))).toBe(true);
    expect([0, 1000, 1001, 65_534, 100_000, 524_288].some(isSandboxUid)).toBe(false);
  } finally {
    for (const own of all) own.release();
  }
});

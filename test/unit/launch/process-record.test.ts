// A state folder that two pid namespaces share: no process removes or ends what belongs to the other.
import {existsSync, readdirSync} from 'node:fs';
import {readFile, rename, utimes, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {describe, expect, vi} from 'vitest';
import {judgeLife, type Sight, type System} from '../../../src/lib/core/process-life.js';
import {lifeOf, thisProcess} from '../../../src/lib/launch/process-record.js';
import {Roster} from '../../../src/lib/launch/roster.js';
import {makeRunFolder} from '../../../src/lib/launch/run-folder.js';
import {Child} from '../../helpers/child.js';
import {root, until} from '../../helpers/launching.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';
import {unreadable} from '../../helpers/unreadable.js';

vi.mock('node:fs/promises', async (original) => {
  const {withUnreadable} = await import('../../helpers/unreadable.js');
  return withUnreadable(await original<typeof import('node:fs/promises')>());
});

describe('whether a process still runs', () => {
  const here: System = {boot: 'b1', namespace: 'n1', host: 'h1'};
  const sight: Sight = {system: here, now: 1e12, bootedAt: 9e11, touchedAt: 1e12, start: '7'};
  const day = 86_400_000;

  test.each<[string, string, Partial<System> | undefined, Partial<Sight>]>([
    ['a process with this pid and start', 'running', {}, {}],
    ['a later process with this pid', 'ended', {}, {start: '8'}],
    ['no process with this pid', 'ended', {}, {start: ''}],
    ['a system that does not tell of the process now', 'unknown', {}, {start: undefined}],
    ['a system without namespaces', 'running', undefined, {system: undefined}],
    ['a system without namespaces, no process', 'ended', undefined, {system: undefined, start: ''}],
    ['another namespace, no process with this pid here', 'unknown', {namespace: 'n2'}, {start: ''}],
    ['another namespace, the same pid and start here', 'unknown', {namespace: 'n2'}, {}],
    ['a namespace that /proc does not show', 'unknown', {}, {system: {...here, namespace: ''}}],
    ['the same machine before its last start', 'ended', {boot: 'b0'}, {touchedAt: 8e11}],
    [
      'another machine with the same identity that still runs',
      'unknown',
      {boot: 'b0'},
      {touchedAt: 1e12 - day},
    ],
    ['another machine', 'unknown', {boot: 'b0', host: 'h2'}, {touchedAt: 1e12 - 29 * day}],
    [
      'another machine, without a sign for a month',
      'ended',
      {boot: 'b0', host: 'h2'},
      {touchedAt: 1e12 - 31 * day},
    ],
    [
      'another container, without a sign for a month',
      'ended',
      {namespace: 'n2'},
      {touchedAt: 1e12 - 31 * day},
    ],
    ['a long run here without a sign', 'running', {}, {touchedAt: 0}],
    ['a kernel without a boot id, one machine', 'running', {boot: ''}, {system: {...here, boot: ''}}],
    [
      'a kernel without a boot id, two machines',
      'unknown',
      {boot: '', host: 'h2'},
      {system: {...here, boot: ''}},
    ],
  ])('%s: %s', (_what, life, there, seen) => {
    const system = there === undefined ? undefined : {...here, ...there};
    expect(judgeLife({pid: 5, start: '7', system}, {...sight, ...seen})).toBe(life);
  });

  test('without a free descriptor nobody is taken for ended, and no record without a start is made', async ({
    scope,
    skip,
  }) => {
    skip(process.platform !== 'linux', 'only Linux has /proc');
    const record = await thisProcess();
    expect(await lifeOf(record, Date.now())).toBe('running');
    unreadable.add(`/proc/${process.pid}/stat`);
    scope.onEnd(() => unreadable.clear());
    expect(await lifeOf(record, Date.now())).toBe('unknown');
    await expect(thisProcess()).rejects.toMatchObject({
      code: 'STATE_DIR',
      message: expect.stringContaining('EMFILE'),
    });
  });

  test('the run folder of a process is not removed because its record cannot be read', async ({scope}) => {
    const stateDir = await scope.tempDir('state');
    const folder = await makeRunFolder(stateDir);
    // Like one of a process that is not visible from here.
    const old = folder.replace(/\d+(-[0-9a-f]+)$/, '4194304$1');
    await rename(folder, old);
    await utimes(old, 1, 1);
    unreadable.add(join(old, '.process.json'));
    scope.onEnd(() => unreadable.clear());
    await makeRunFolder(stateDir);
    expect(existsSync(old)).toBe(true);
  });
});

/** Runs in a separate pid namespace until the scope ends; returns the result of `source`. */
async function inNamespace(scope: Scope, source: string): Promise<{child: Child; said: string}> {
  const script = join(await scope.tempDir('namespace'), 'script.mjs');
  await writeFile(
    script,
    `import {makeRunFolder} from ${JSON.stringify(join(root, 'src/lib/launch/run-folder.ts'))};
import {Roster} from ${JSON.stringify(join(root, 'src/lib/launch/roster.ts'))};
console.log('said ' + JSON.stringify(await (async () => { ${source} })()));
setInterval(() => {}, 1e6);
`,
  );
  const words = ['--pid', '--fork', '--kill-child', '--mount-proc'];
  // The shell has pid 1.
  const hook = join(root, 'test/helpers/ts-hook.js');
  const command = `'${process.execPath}' --import '${hook}' '${script}'; exit`;
  const child = Child.start(scope, 'unshare', [...words, 'sh', '-c', command], {
    stopSignal: 'SIGKILL',
  });
  return {child, said: JSON.parse((await child.line((line) => line.startsWith('said '))).slice(5)) as string};
}

test.for(['json.0f8fad5b-d9cb-469f-a165-70867728950e', 'json.draft', 'sock', 'log'])(
  'a young ID.%s alone belongs to a tunnel that is starting; an old one is removed',
  async (ending, {scope}) => {
    const stateDir = await scope.tempDir('state');
    const roster = new Roster(stateDir);
    await roster.prepare();
    const pathOf = (id: string) => join(stateDir, 'background', `${id}.${ending}`);
    const [young, old] = [pathOf('aaaaaa'), pathOf('bbbbbb')];
    for (const path of [young, old]) await writeFile(path, '', {mode: 0o600});
    await utimes(old, 1, 1);
    expect(await roster.all()).toEqual([]);
    expect([existsSync(young), existsSync(old)]).toEqual([true, false]);
  },
);

describe.runIf(process.getuid?.() === 0)('a state folder shared by two containers', () => {
  test('neither removes the run folders of the other', async ({scope}) => {
    const stateDir = await scope.tempDir('state');
    const make = `return await makeRunFolder(${JSON.stringify(stateDir)})`;
    const here = await makeRunFolder(stateDir);
    const {child, said: there} = await inNamespace(scope, make);
    const {said: third} = await inNamespace(scope, make);
    const own = await makeRunFolder(stateDir);
    for (const folder of [here, there, third, own]) expect(existsSync(folder), folder).toBe(true);
    // Whether it has ended is not visible from here: its folder stays for a month.
    child.signal('SIGKILL');
    await child.exited;
    await makeRunFolder(stateDir);
    expect(existsSync(there)).toBe(true);
    await utimes(join(there, '.process.json'), 0, 0);
    await makeRunFolder(stateDir);
    expect(existsSync(there)).toBe(false);
    expect(existsSync(third)).toBe(true);
  });

  test('tunnels in the background of the other are neither removed nor ended', async ({scope}) => {
    const stateDir = await scope.tempDir('state');
    const roster = new Roster(stateDir);
    await roster.prepare();
    const enter = (id: string) =>
      `const roster = new Roster(${JSON.stringify(stateDir)});
await roster.enter({id: '${id}', startedAt: new Date().toISOString(), command: [], address: 'x'});
return (await roster.living()).map(({id}) => id).join();`;
    const {said} = await inNamespace(scope, enter('aaaaaa'));
    expect(said).toBe('aaaaaa');
    await roster.enter({id: 'bbbbbb', startedAt: new Date().toISOString(), command: [], address: 'x'});
    expect((await inNamespace(scope, enter('cccccc'))).said).toBe('cccccc');
    expect((await roster.living()).map(({id}) => id)).toEqual(['bbbbbb']);
    expect(readdirSync(join(stateDir, 'background'))).toHaveLength(3);
    await expect(roster.get('aaaaaa')).rejects.toMatchObject({
      code: 'BACKGROUND_UNKNOWN',
      message: expect.stringContaining('another container'),
    });
  });

  test('entries of processes from before the last boot are removed', async ({scope}) => {
    const stateDir = await scope.tempDir('state');
    const roster = new Roster(stateDir);
    await roster.prepare();
    await roster.enter({id: 'bbbbbb', startedAt: new Date().toISOString(), command: [], address: 'x'});
    const path = join(stateDir, 'background', 'bbbbbb.json');
    const entry = JSON.parse(await readFile(path, 'utf8')) as {system: System};
    await writeFile(path, JSON.stringify({...entry, system: {...entry.system, boot: 'before'}}));
    await expect(roster.get('bbbbbb')).rejects.toMatchObject({message: expect.stringContaining('machine')});
    await utimes(path, 1, 1);
    expect(await roster.living()).toEqual([]);
    await until(() => !existsSync(path));
  });
});

import {existsSync} from 'node:fs';
import {mkdir, readFile, stat, utimes, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {describe, expect} from 'vitest';
import {thisProcess} from '../../../src/lib/launch/process-record.js';
import type {SandboxBackend} from '../../../src/lib/sandbox/backend.js';
import type {SandboxInfo} from '../../../src/lib/sandbox/control.js';
import {isSandboxId, newSandboxId} from '../../../src/lib/sandbox/ids.js';
import {SandboxRoster} from '../../../src/lib/sandbox/roster.js';
import {sweepSandboxes} from '../../../src/lib/sandbox/sweep.js';
import {test} from '../../helpers/test.js';

const info = (id: string, more: Partial<SandboxInfo> = {}): SandboxInfo => ({
  id,
  state: 'ready',
  backend: 'bubblewrap',
  command: ['sleep', '9'],
  createdAt: 1,
  tunnels: [],
  egress: {kind: 'none'},
  unreal: [],
  pid: process.pid,
  ...more,
});

/** A sandbox whose owner was killed. */
async function orphan(stateDir: string, more: object = {}): Promise<string> {
  const id = newSandboxId();
  const folder = join(stateDir, 'sandboxes', id);
  await mkdir(join(folder, 'work'), {recursive: true, mode: 0o700});
  const owner = {...(await thisProcess()), start: 'another process'};
  const journal = {id, owner, state: 'ready', command: ['x'], createdAt: 5, tunnels: [], unreal: []};
  await writeFile(join(folder, 'sandbox.json'), JSON.stringify({...journal, ...more}), {mode: 0o600});
  return id;
}

test('ids', () => {
  const ids = Array.from({length: 200}, newSandboxId);
  expect(ids.every(isSandboxId)).toBe(true);
  expect(new Set(ids).size).toBe(200);
  expect(['sb_', 'sb_abcdefg0', 'sb_abcdefgh/', '../x', ''].filter(isSandboxId)).toEqual([]);
});

test('a sandbox from its start to its end', async ({scope}) => {
  const stateDir = await scope.tempDir('state');
  const roster = new SandboxRoster(stateDir);
  const own = await roster.begin({name: 'web', command: ['sleep', '9']});
  expect((await stat(own.folder)).mode & 0o777).toBe(0o700);
  expect((await stat(own.workFolder)).mode & 0o777).toBe(0o700);
  expect((await stat(join(own.folder, 'sandbox.json'))).mode & 0o777).toBe(0o600);
  expect(await roster.find('web')).toMatchObject({life: 'running', journal: {state: 'creating'}});

  const url = 'https://a.example.net/?tunl=secret';
  own.change(info(own.id, {name: 'web', tunnels: [{port: 80, url}]}), {container: 'c1'});
  const text = await readFile(join(own.folder, 'sandbox.json'), 'utf8');
  expect(text).not.toContain('secret');
  expect(JSON.parse(text)).toMatchObject({
    state: 'ready',
    record: {container: 'c1'},
    tunnels: [{port: 80, url: 'https://a.example.net'}],
  });

  await own.end({reason: 'exited', code: 3});
  expect(existsSync(own.workFolder)).toBe(false);
  expect(await roster.find(own.id)).toMatchObject({
    life: 'ended',
    journal: {state: 'ended', end: {reason: 'exited', code: 3}},
  });
  // What comes later changes nothing.
  own.change(info(own.id));
  await own.end({reason: 'lost'});
  expect((await roster.find(own.id)).journal.end).toEqual({reason: 'exited', code: 3});
});

test('one that never began leaves nothing', async ({scope}) => {
  const roster = new SandboxRoster(await scope.tempDir('state'));
  const own = await roster.begin({command: ['x']});
  await own.remove();
  expect(await roster.all()).toEqual([]);
  expect(existsSync(own.folder)).toBe(false);
});

describe('names', () => {
  test('two that run cannot have the same, also when they begin at once', async ({scope}) => {
    const roster = new SandboxRoster(await scope.tempDir('state'));
    const begun = await Promise.allSettled([1, 2, 3].map(() => roster.begin({name: 'web', command: ['x']})));
    const [one, ...more] = begun.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    expect(more).toEqual([]);
    const refused = begun.flatMap((each) => (each.status === 'rejected' ? [each.reason.code] : []));
    expect(refused).toEqual(['SANDBOX_NAME_USED', 'SANDBOX_NAME_USED']);
    expect(await roster.all()).toHaveLength(1);
    await one?.end({reason: 'terminated'});
    const next = await roster.begin({name: 'web', command: ['x']});
    expect((await roster.find('web')).journal.id).toBe(next.id);
  });

  test.each(['', '-x', '../x', 'a b', 'sb_abcdefgh', 'x'.repeat(64)])('%j is refused', async (name) => {
    await expect(new SandboxRoster('/nowhere').begin({name, command: ['x']})).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
  });
});

describe('find', () => {
  test('takes the beginning of an id that is unique among those that run', async ({scope}) => {
    const roster = new SandboxRoster(await scope.tempDir('state'));
    const [a, b] = [
      await roster.begin({id: 'sb_aaaaaaab', command: ['x']}),
      await roster.begin({id: 'sb_aaaaaabb', command: ['x']}),
    ];
    expect((await roster.find('sb_aaaaaaa')).journal.id).toBe(a.id);
    expect((await roster.find('aaaaaab')).journal.id).toBe(b.id);
    await expect(roster.find('aaa')).rejects.toMatchObject({
      code: 'SANDBOX_UNKNOWN',
      message: 'Several sandboxes begin with aaa: sb_aaaaaabb, sb_aaaaaaab.',
    });
    await a.end({reason: 'idle'});
    expect((await roster.find('aaa')).journal.id).toBe(b.id);
  });

  test.each(['', 'sb_zzzzzzzz', 'nothing', '../../etc'])('%j: unknown', async (word) => {
    await expect(new SandboxRoster('/nowhere').find(word)).rejects.toMatchObject({code: 'SANDBOX_UNKNOWN'});
  });
});

describe('an owner that was killed', () => {
  test('the sandbox is lost, and the files of its backend are removed', async ({scope}) => {
    const stateDir = await scope.tempDir('state');
    const id = await orphan(stateDir);
    const roster = new SandboxRoster(stateDir);
    expect(await roster.isAlive(id)).toBe(false);
    expect(await roster.all()).toMatchObject([
      {life: 'ended', journal: {id, state: 'ended', end: {reason: 'lost'}}},
    ]);
    expect(existsSync(join(stateDir, 'sandboxes', id, 'work'))).toBe(false);
  });

  test('its backend removes what is left, once, and nothing of others', async ({scope}) => {
    const stateDir = await scope.tempDir('state');
    const record = {container: 'c1'};
    const id = await orphan(stateDir, {backend: 'bubblewrap', record});
    const roster = new SandboxRoster(stateDir);
    const own = await roster.begin({command: ['x']});
    const swept: string[] = [];
    const adopted: unknown[] = [];
    const backend = {
      adopt: async (given: object) => void adopted.push(given),
      sweep: async (isAlive: (id: string) => Promise<boolean>) => {
        for (const each of [id, own.id, 'sb_elsewhere']) if (!(await isAlive(each))) swept.push(each);
      },
    };
    const open = async () => backend as unknown as SandboxBackend;
    await sweepSandboxes(roster, open);
    await sweepSandboxes(roster, open);
    expect({swept, adopted}).toEqual({swept: [id], adopted: [record]});
  });

  test('before a backend was chosen: nothing is left to be removed', async ({scope}) => {
    const stateDir = await scope.tempDir('state');
    const id = await orphan(stateDir, {state: 'creating'});
    const roster = new SandboxRoster(stateDir);
    await sweepSandboxes(roster, async () => Promise.reject(new Error('no backend is asked')));
    const {journal} = await roster.find(id);
    expect(journal.unclean).toBe(undefined);
  });
});

test('an owner that left something behind: it is removed when the owner is gone', async ({scope}) => {
  const stateDir = await scope.tempDir('state');
  const roster = new SandboxRoster(stateDir);
  const own = await roster.begin({command: ['x']});
  own.change(info(own.id, {backend: 'podman'}));
  await own.end({reason: 'terminated'}, {unclean: true});
  const swept: string[] = [];
  const sweep = async (isAlive: (id: string) => Promise<boolean>) => {
    if (!(await isAlive(own.id))) swept.push(own.id);
  };
  const open = async (name: string) => ({name, sweep}) as unknown as SandboxBackend;
  await sweepSandboxes(roster, open);
  expect(swept).toEqual([]);
  const path = join(own.folder, 'sandbox.json');
  const journal = JSON.parse(await readFile(path, 'utf8'));
  await writeFile(path, JSON.stringify({...journal, owner: {...journal.owner, start: 'another process'}}));
  await sweepSandboxes(roster, open);
  await sweepSandboxes(roster, open);
  expect(swept).toEqual([own.id]);
});

test('what ended long ago is removed, and of many the oldest', async ({scope}) => {
  const stateDir = await scope.tempDir('state');
  const end = {reason: 'exited', code: 0};
  await orphan(stateDir, {end, endedAt: Date.now() - 8 * 86_400_000});
  const ids: string[] = [];
  for (let at = 0; at < 102; at += 1)
    ids.push(await orphan(stateDir, {end, endedAt: Date.now(), createdAt: at}));
  const unreadable = await orphan(stateDir, {owner: 7});
  const old = new Date(Date.now() - 8 * 86_400_000);
  await utimes(join(stateDir, 'sandboxes', unreadable, 'sandbox.json'), old, old);
  const all = await new SandboxRoster(stateDir).all();
  expect(all.map(({journal}) => journal.id)).toEqual(ids.slice(2));
  for (const id of [...ids.slice(0, 2), unreadable])
    expect(existsSync(join(stateDir, 'sandboxes', id))).toBe(false);
});

// A lock stays with a holder that lives, also in another container, and is free again when its holder was killed.

import {readdir, readFile, stat, utimes, writeFile} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import {expect, vi} from 'vitest';
import {withLock} from '../../../src/lib/core/file-lock.js';
import type {ProcessRecord, System} from '../../../src/lib/core/process-life.js';
import {eventually} from '../../helpers/eventually.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';
import {unreadable} from '../../helpers/unreadable.js';

vi.mock('node:fs/promises', async (original) => {
  const {withUnreadable} = await import('../../helpers/unreadable.js');
  return withUnreadable(await original<typeof import('node:fs/promises')>());
});

const OLD = new Date(Date.now() - 120_000);
/** No process has the largest number that Linux allows. */
const NOBODY = 4_194_304;

async function setUp(scope: Scope) {
  const path = join(await scope.tempDir('lock'), 'lock');
  const own = await withLock(path, async () => JSON.parse(await readFile(path, 'utf8')) as ProcessRecord);
  /** The lock of another process. */
  const held = async (change: Partial<ProcessRecord>, system: Partial<System> = {}) => {
    const there = own.system && {...own.system, ...system};
    await writeFile(path, JSON.stringify({...own, ...change, system: there}));
  };
  /** Tries to take the lock without waiting for its holder. */
  const taken = async () => {
    const result = await withLock(path, async () => 'taken', 0).catch((error: {code: string}) => error.code);
    const left = await readdir(dirname(path));
    return [result, ...left];
  };
  return {path, own, held, taken};
}

const FREE = ['taken'];
const HELD = ['STATE_DIR', 'lock'];

test('a living process keeps its lock; one that was killed does not, even if another one has its pid', async ({
  scope,
}) => {
  const {held, taken, own} = await setUp(scope);
  await held({});
  expect(await taken()).toEqual(HELD);
  await held({pid: NOBODY});
  expect(await taken()).toEqual(FREE);
  if (own.system === undefined) return;
  await held({start: '1'});
  expect(await taken()).toEqual(FREE);
});

const isLinux = process.platform === 'linux';

test('a holder that cannot be looked up for lack of a descriptor keeps its lock', async ({scope, skip}) => {
  skip(!isLinux, 'only Linux has /proc');
  const {held, taken} = await setUp(scope);
  await held({pid: process.ppid});
  unreadable.add(`/proc/${process.ppid}/stat`);
  scope.onEnd(() => unreadable.clear());
  expect(await taken()).toEqual(HELD);
});

test.for<[string, Partial<System>]>([
  ['container', {namespace: 'pid:[1]'}],
  ['machine', {boot: 'another', host: 'another'}],
])(
  'a process of another %s keeps its lock while it gives signs of life',
  async ([, system], {scope, skip}) => {
    skip(!isLinux, 'only Linux has these');
    const {path, held, taken} = await setUp(scope);
    await held({pid: NOBODY}, system);
    expect(await taken()).toEqual(HELD);
    await utimes(path, OLD, OLD);
    expect(await taken()).toEqual(FREE);
  },
);

test('a process from before the last start of this machine has no lock', async ({scope, skip}) => {
  skip(!isLinux, 'only Linux tells its starts apart');
  const {path, held, taken} = await setUp(scope);
  await held({}, {boot: 'another'});
  await utimes(path, 1, 1);
  expect(await taken()).toEqual(FREE);
});

test('a lock without a record is being written, or was left so', async ({scope}) => {
  const {path, taken} = await setUp(scope);
  for (const text of ['', '{"pid":', `${process.pid}\n`]) {
    await writeFile(path, text);
    expect(await taken()).toEqual(HELD);
    await utimes(path, OLD, OLD);
    expect(await taken()).toEqual(FREE);
  }
});

test('a holder gives signs of life until it has done its work', async ({scope}) => {
  vi.useFakeTimers({toFake: ['setInterval', 'clearInterval']});
  scope.onEnd(() => void vi.useRealTimers());
  const {path} = await setUp(scope);
  await withLock(path, async () => {
    await utimes(path, OLD, OLD);
    vi.advanceTimersByTime(10_000);
    await eventually(async () => expect((await stat(path)).mtimeMs).toBeGreaterThan(OLD.getTime() + 60_000));
  });
  expect(vi.getTimerCount()).toBe(0);
});

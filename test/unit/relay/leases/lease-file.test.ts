// The lease table on disk: complete, private, written in pieces, and never a reason to fail.

import {appendFile, readFile, rm, stat, truncate, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect, test} from 'vitest';
import {createLogger, type LogRecord} from '../../../../src/lib/core/logger.js';
import {LeaseFile, type LeaseTable} from '../../../../src/lib/relay/leases/lease-file.js';
import type {LeaseKey, LeaseRow} from '../../../../src/lib/relay/leases/lease-store.js';
import {MemoryLeases} from '../../../../src/lib/relay/leases/memory-leases.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import {Scope} from '../../../helpers/scope.js';

const GRACE_MS = 60_000;

async function setUp(scope: Scope) {
  const clock = new ManualClock();
  const records: LogRecord[] = [];
  const path = join(await scope.tempDir(), 'relay', 'leases.json');
  const open = () => new LeaseFile({path, clock, log: createLogger('relay', (each) => records.push(each))});
  /** What a process reads that starts now. */
  const load = async () => new Map(await open().load());
  const text = () => readFile(path, 'utf8');
  return {path, open, load, text, records, clock};
}

function tableOf(...rows: LeaseRow[]): LeaseTable {
  const table = new Map(rows);
  return {size: table.size, lease: (key) => table.get(key), rows: () => [...table]};
}

/** A relay's table with written changes; `wholes` counts how often the whole table was written. */
function keep(store: LeaseFile, clock: ManualClock, initial: Iterable<LeaseRow> = []) {
  let wholes = 0;
  const registry: MemoryLeases = new MemoryLeases({
    graceMs: GRACE_MS,
    onChange: (key) => store.changed(key, table),
  });
  registry.begin(initial);
  const table: LeaseTable = {
    get size() {
      return registry.size;
    },
    lease: (key) => registry.lease(key),
    rows: () => {
      wholes += 1;
      return registry.rows();
    },
  };
  const written = async () => {
    clock.advance(100);
    await store.idle();
  };
  return {registry, table, written, wholes: () => wholes};
}

const names = (prefix: string, count: number) =>
  Array.from({length: count}, (_, i): LeaseKey => `tls:${prefix}-${i}`);

test('the sealed table is loaded again, with rows in use and released ones', async () => {
  await using scope = new Scope();
  const {path, open, text} = await setUp(scope);
  const rows: LeaseRow[] = [
    ['tls:demo', {owner: 'key:1', epoch: 3, expiresAt: undefined, holder: 'abc'}],
    ['tcp:20417', {owner: 'token:2', epoch: 1, expiresAt: 99}],
  ];
  await open().seal(tableOf(...rows));
  expect(await open().load()).toEqual(rows);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  // One line only, which every version can read.
  expect(JSON.parse(await text())).toEqual({version: 1, leases: JSON.parse(JSON.stringify(rows))});
});

test('a change is written alone; a relay that is killed right after it has lost nothing', async () => {
  await using scope = new Scope();
  const {path, open, load, text, clock} = await setUp(scope);
  const {registry, written, wholes} = keep(open(), clock);
  await registry.claim('tls:first', 'ann', {holder: 'one'});
  await written();
  const before = await text();
  await registry.claim('tls:second', 'bob');
  await registry.release('tls:first', 1);
  await written();
  expect((await text()).startsWith(before)).toBe(true);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  const found = await load();
  expect(found.get('tls:first')).toMatchObject({owner: 'ann', epoch: 1, holder: 'one'});
  expect(found.get('tls:first')?.expiresAt).toBeGreaterThan(Date.now());
  expect(found.get('tls:second')).toMatchObject({owner: 'bob', epoch: 1, expiresAt: undefined});
  expect(wholes()).toBe(1);
});

test('when many leave together, the table is not rewritten with every batch', async () => {
  await using scope = new Scope();
  const {open, load, clock} = await setUp(scope);
  const {registry, written, wholes} = keep(open(), clock);
  const [sessions, each] = [50, 100];
  const all = names('n', sessions * each);
  for (const key of all) await registry.claim(key, 'ann');
  await written();
  for (let session = 0; session < sessions; session += 1) {
    const own = all.slice(session * each, (session + 1) * each);
    for (const key of own) await registry.release(key, 1);
    await written();
  }
  // The first write of a process, and one more for the lines since.
  expect(wholes()).toBeLessThanOrEqual(3);
  const found = await load();
  expect(found.size).toBe(all.length);
  expect([...found.values()].every(({expiresAt}) => expiresAt !== undefined)).toBe(true);
});

test('the file does not grow for ever when the same rows change', async () => {
  await using scope = new Scope();
  const {open, load, text, clock} = await setUp(scope);
  const {registry, written} = keep(open(), clock);
  for (let round = 1; round <= 60; round += 1) {
    for (const key of names('n', 100)) await registry.claim(key, 'ann');
    await written();
  }
  expect((await text()).split('\n').length).toBeLessThan(1_500);
  expect((await load()).get('tls:n-99')?.epoch).toBe(60);
});

test('changes during a rewrite are in the new file, too', async () => {
  await using scope = new Scope();
  const {open, load, clock} = await setUp(scope);
  const store = open();
  const {registry, table} = keep(store, clock);
  const late = names('late', 5);
  const rows = table.rows;
  // The rows of the rewrite are read, and then a relay continues to bind.
  table.rows = () => {
    const taken = rows();
    for (const key of late) void registry.claim(key, 'bob');
    table.rows = rows;
    return taken;
  };
  await registry.claim('tls:early', 'ann');
  clock.advance(100);
  await store.idle();
  expect([...(await load()).keys()]).toEqual(['tls:early', ...late]);
});

test('half a last line damages only itself, and later lines are read', async () => {
  await using scope = new Scope();
  const {path, open, load, clock, records} = await setUp(scope);
  const first = keep(open(), clock);
  await first.registry.claim('tls:one', 'ann');
  await first.written();
  await first.registry.claim('tls:two', 'ann');
  await first.registry.claim('tls:three', 'ann');
  await first.written();
  await truncate(path, (await stat(path)).size - 10);
  expect([...(await load()).keys()]).toEqual(['tls:one', 'tls:two']);
  await appendFile(path, '\n["tls:four",{"owner":"ann","epoch":1}]\n["tls:one"]\n["tls:No"]\nnull');
  expect([...(await load()).keys()]).toEqual(['tls:two', 'tls:four']);
  expect(records).toEqual([]);
});

test('two processes on one file: a process that finds the other’s table writes its own again', async () => {
  await using scope = new Scope();
  const {open, load, clock} = await setUp(scope);
  const old = keep(open(), clock);
  await old.registry.claim('tls:old', 'ann');
  await old.written();
  const next = keep(open(), clock, await load());
  await next.registry.claim('tls:next', 'bob');
  await next.written();
  // Both run, until the older one is stopped.
  await old.registry.claim('tls:late', 'ann');
  await old.written();
  await next.registry.claim('tls:more', 'bob');
  await next.written();
  const found = await load();
  for (const key of ['tls:old', 'tls:next', 'tls:more'] as const) expect(found.has(key)).toBe(true);
});

test('after the seal nothing is written: the file belongs to the next process', async () => {
  await using scope = new Scope();
  const {path, open, text, clock} = await setUp(scope);
  const first = open();
  const {registry, table} = keep(first, clock);
  await registry.claim('tls:demo', 'ann');
  await first.seal(table);
  await writeFile(path, 'the next one’s');
  await registry.claim('tls:late', 'ann');
  clock.advance(1_000);
  await first.idle();
  await first.seal(table);
  expect(await text()).toBe('the next one’s');
});

test.each(['', '{', '[]', '{"leases":{}}', '\u0000'])(
  'an unreadable table (%j) counts as empty, with a warning',
  async (content) => {
    await using scope = new Scope();
    const {path, open, records} = await setUp(scope);
    await open().seal(tableOf());
    await writeFile(path, content);
    expect(await open().load()).toEqual([]);
    expect(records.map((each) => each.level)).toEqual(['warn']);
  },
);

test('invalid rows are left out, the others stay', async () => {
  await using scope = new Scope();
  const {path, open} = await setUp(scope);
  await open().seal(tableOf());
  const good = ['tls:good', {owner: 'a', epoch: 1}];
  const bad = [
    null,
    1,
    ['tls:x'],
    ['tls:X', good[1]],
    ['tls:__proto__', good[1]],
    ['tls:y', {owner: 1, epoch: 1}],
    ['tls:z', {owner: 'a'}],
  ];
  await writeFile(path, JSON.stringify({version: 1, leases: [...bad, good]}));
  expect((await open().load()).map(([key]) => key)).toEqual(['tls:good']);
});

test('a file that cannot be written gives a warning, and everything is written when that is possible again', async () => {
  await using scope = new Scope();
  const {path, open, load, records, clock} = await setUp(scope);
  const blocked = join(path, '..');
  await writeFile(blocked, 'a file where the folder should be');
  const {registry, written} = keep(open(), clock);
  await registry.claim('tls:one', 'ann');
  await written();
  expect(records.map((each) => each.level)).toContain('error');
  await rm(blocked);
  await registry.claim('tls:two', 'ann');
  await written();
  expect([...(await load()).keys()]).toEqual(['tls:one', 'tls:two']);
});

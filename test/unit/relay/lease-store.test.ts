// The lease table on disk: whole, private, and no reason to fail.

import {readFile, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect, test} from 'vitest';
import {type Clock, systemClock} from '../../../src/lib/core/clock.js';
import {createLogger, type LogRecord} from '../../../src/lib/core/logger.js';
import {LeaseStore} from '../../../src/lib/relay/lease-store.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {Scope} from '../../helpers/scope.js';

async function store(scope: Scope, clock: Clock = systemClock) {
  const records: LogRecord[] = [];
  const path = join(await scope.tempDir(), 'relay', 'leases.json');
  const open = () => new LeaseStore({path, clock, log: createLogger('relay', (each) => records.push(each))});
  return {path, open, records};
}

test('what was sealed is loaded again, held and leased rows alike', async () => {
  await using scope = new Scope();
  const {path, open} = await store(scope);
  const rows = [
    ['tls:demo', {owner: 'key:1', epoch: 3, expiresAt: undefined, holder: 'abc'}],
    ['tcp:20417', {owner: 'token:2', epoch: 1, expiresAt: 99}],
  ] as const;
  await open().seal([...rows]);
  expect(await open().load()).toEqual(rows);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test('after the seal nothing is written: the file is the next process’s', async () => {
  await using scope = new Scope();
  const clock = new ManualClock();
  const {path, open} = await store(scope, clock);
  const first = open();
  await first.seal([]);
  await writeFile(path, 'the next one’s');
  first.schedule(() => []);
  clock.advance(1_000);
  // Waits for what is being written.
  await first.seal([]);
  expect(await readFile(path, 'utf8')).toBe('the next one’s');
});

test.each(['', '{', '[]', '{"leases":{}}', '\u0000'])(
  'an unreadable table (%j) is an empty one, and is spoken of',
  async (text) => {
    await using scope = new Scope();
    const {path, open, records} = await store(scope);
    await open().seal([]);
    await writeFile(path, text);
    expect(await open().load()).toEqual([]);
    expect(records.map((each) => each.level)).toEqual(['warn']);
  },
);

test('rows that cannot be are left out, the others stay', async () => {
  await using scope = new Scope();
  const {path, open} = await store(scope);
  await open().seal([]);
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

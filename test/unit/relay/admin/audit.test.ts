// The audit: lines from events, limits for those that others can repeat, and the file.

import {readFileSync, renameSync, rmSync, statSync, writeFileSync} from 'node:fs';
import {type FileHandle, open} from 'node:fs/promises';
import {join} from 'node:path';
import {expect, vi} from 'vitest';
import {createLogger, type LogRecord} from '../../../../src/lib/core/logger.js';
import {AuditFile} from '../../../../src/lib/relay/admin/audit-file.js';
import {AuditLog} from '../../../../src/lib/relay/admin/audit-log.js';
import type {RelayEvent} from '../../../../src/lib/relay/events.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import {test} from '../../../helpers/test.js';

const now = new Date('2026-03-01T10:00:00.000Z');
const login: RelayEvent = {
  type: 'agent-connected',
  session: '3f2a1b9c',
  owner: 'ana',
  tokenId: 'k7d2m9x4qa',
  from: 'wss 203.0.113.7:50123',
};

test('a line about a session says whose it is, as long as the session lives', () => {
  const audit = new AuditLog(new ManualClock());
  const who = {owner: 'ana', tokenId: 'k7d2m9x4qa', from: '203.0.113.7:50123', session: '3f2a1b9c'};
  const time = now.toISOString();
  expect(audit.linesOf(login, now)).toEqual([{time, what: 'agent-connected', ...who}]);
  const lost: RelayEvent = {type: 'tunnel-lost', session: '3f2a1b9c', key: 'tls:demo', epoch: 1};
  expect(audit.linesOf(lost, now)).toEqual([{time, what: 'tunnel-lost', ...who, key: 'tls:demo', epoch: 1}]);
  expect(audit.linesOf({type: 'agent-away', session: '3f2a1b9c', reason: 'gone'}, now)).toEqual([]);
  expect(audit.linesOf({type: 'agent-gone', session: '3f2a1b9c', code: undefined}, now)).toMatchObject([who]);
  expect(audit.linesOf(lost, now)[0]).not.toHaveProperty('owner');
  const kick: RelayEvent = {type: 'kicked', what: 'name', subject: 'tls:demo', count: 1};
  expect(audit.linesOf(kick, now)).toEqual([
    {time, what: 'kicked', kind: 'name', subject: 'tls:demo', count: 1},
  ]);
});

test('a flood of refusals is a few lines, and later lines say how many are missing', () => {
  const clock = new ManualClock();
  const audit = new AuditLog(clock);
  const refused: RelayEvent = {type: 'token-refused', from: '203.0.113.7'};
  const flood = Array.from({length: 10_000}, () => audit.linesOf(refused, now));
  expect(flood.flat()).toHaveLength(10);
  // Another address is not silenced by it.
  const [omitted, other] = audit.linesOf({type: 'token-refused', from: '203.0.113.8'}, now);
  expect(omitted).toMatchObject({what: 'lines-omitted', times: 9_990});
  expect(other).toMatchObject({what: 'token-refused', from: '203.0.113.8'});
  clock.advance(60_000);
  expect(Array.from({length: 100}, () => audit.linesOf(refused, now)).flat()).toHaveLength(6);
});

test('all agents of a large relay come back at once: each has its lines', () => {
  const audit = new AuditLog(new ManualClock());
  const logins = Array.from({length: 5_000}, (_, at) =>
    audit.linesOf({...login, session: `s${at}`, owner: `o${at % 100}`}, now),
  );
  expect(logins.flat()).toHaveLength(5_000);
});

test('strangers with many addresses cannot fill the disk either', () => {
  const audit = new AuditLog(new ManualClock());
  let lines = 0;
  for (let at = 0; at < 50_000; at += 1)
    lines += audit.linesOf(
      {type: 'token-refused', from: `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`},
      now,
    ).length;
  expect(lines).toBe(20_000);
});

test('the file: private, only added to, and a new one after a rotation', async ({scope}) => {
  const path = join(await scope.tempDir('audit'), 'audit.jsonl');
  const log = createLogger('relay', undefined);
  const first = new AuditFile(path, log);
  await first.start();
  first.add({time: 'a', what: 'one'});
  await first.close();
  const file = new AuditFile(path, log);
  await file.start();
  file.add({time: 'b', what: 'two'});
  await file.close();
  expect(readFileSync(path, 'utf8')).toBe('{"time":"a","what":"one"}\n{"time":"b","what":"two"}\n');
  expect(statSync(path).mode & 0o777).toBe(0o600);

  file.add({time: 'c', what: 'late'});
  await file.settled();
  expect(readFileSync(path, 'utf8')).not.toContain('late');

  const third = new AuditFile(path, log);
  await third.start();
  renameSync(path, `${path}.1`);
  third.add({time: 'c', what: 'three'});
  await third.close();
  expect(readFileSync(path, 'utf8')).toBe('{"time":"c","what":"three"}\n');
});

test('half a line, of a killed process or of a full disk, damages only itself', async ({scope}) => {
  const path = join(await scope.tempDir('audit'), 'audit.jsonl');
  writeFileSync(path, '{"time":"a"}\n{"ti');
  const file = new AuditFile(path, createLogger('relay', undefined));
  await file.start();
  file.add({time: 'b', what: 'after a kill'});
  await file.settled();

  const handle = await open(path, 'r');
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  await handle.close();
  const append = prototype.appendFile;
  const full = vi.spyOn(prototype, 'appendFile').mockImplementationOnce(async function (
    this: FileHandle,
    text,
  ) {
    await append.call(this, String(text).slice(0, 4));
    throw Object.assign(new Error('full'), {code: 'ENOSPC'});
  });
  scope.onEnd(() => full.mockRestore());
  for (const what of ['lost', 'after a full disk', 'last']) {
    file.add({time: 'c', what});
    await file.settled();
  }
  await file.close();
  expect(file.lost).toBe(1);
  expect(readFileSync(path, 'utf8').split('\n')).toEqual([
    '{"time":"a"}',
    '{"ti',
    '{"time":"b","what":"after a kill"}',
    '{"ti',
    '{"time":"c","what":"after a full disk"}',
    '{"time":"c","what":"last"}',
    '',
  ]);
});

test('a folder that is gone costs lines, which are counted and reported once', async ({scope}) => {
  const folder = await scope.tempDir('audit');
  const records: LogRecord[] = [];
  const path = join(folder, 'audit.jsonl');
  const file = new AuditFile(
    path,
    createLogger('relay', (record) => records.push(record)),
  );
  await file.start();
  rmSync(folder, {recursive: true});
  for (const what of ['one', 'two']) {
    file.add({time: 'a', what});
    await file.settled();
  }
  expect(file.lost).toBe(2);
  expect(records.map(({message}) => message)).toEqual(['the audit file cannot be written']);
  await file.close();
  await expect(new AuditFile(path, createLogger('relay', undefined)).start()).rejects.toMatchObject({
    code: 'FILE_UNREADABLE',
    message: expect.stringContaining(path),
  });
});

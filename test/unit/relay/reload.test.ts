// A running relay reads its settings again: what changes, what does not, and what a mistake leaves as it was.

import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {describe, expect, test} from 'vitest';
import type {RelayOptions} from '../../../src/lib/relay/options.js';
import {afterReload, Reloads} from '../../../src/lib/relay/reload.js';
import type {RunningRelay} from '../../../src/lib/relay/running-relay.js';
import {settleRelayOptions} from '../../../src/lib/relay/settings.js';
import {startRunningRelay} from '../../../src/lib/relay/start.js';
import {upgradeWith} from '../../helpers/agent-upgrade.js';
import {eventually} from '../../helpers/eventually.js';
import {RelayEar} from '../../helpers/relay-events.js';
import {Scope} from '../../helpers/scope.js';

const OLD = 'the-old-token-of-the-relay';
const NEW = 'the-new-token-of-the-relay';

/** The status of an agent's upgrade with this token. */
const statusOf = async (relay: RunningRelay, token: string) => (await upgradeWith(relay, token)).status;

describe.each([1, 2])('a relay of %i processes', (workers) => {
  test('takes the new token of its file, and keeps the old one when the file cannot be used', async () => {
    await using scope = new Scope();
    const folder = await scope.tempDir();
    const tokenFile = join(folder, 'token');
    await writeFile(tokenFile, OLD);
    const ear = new RelayEar();
    const options: RelayOptions = {domain: 'r1.localhost', stateDir: folder, tokenFile, workers};
    const relay = scope.own(await startRunningRelay(options, {listeners: [ear.listen]}));
    const statuses = async () => [await statusOf(relay, OLD), await statusOf(relay, NEW)];
    expect(await statuses()).toEqual([101, 401]);

    await writeFile(tokenFile, 'short');
    expect(await relay.reload()).toMatchObject({changed: [], failed: {code: 'OPTION_INVALID'}});
    await writeFile(tokenFile, '');
    expect(await relay.reload()).toMatchObject({changed: [], failed: {code: 'TOKEN_FILE_EMPTY'}});
    expect(await statuses()).toEqual([101, 401]);

    await writeFile(tokenFile, NEW);
    expect(await relay.reload()).toEqual({changed: ['token'], needRestart: []});
    expect(await statuses()).toEqual([401, 101]);
    expect(await relay.reload()).toEqual({changed: [], needRestart: []});
    expect(ear.events.map(({type}) => type).filter((type) => type.startsWith('reload'))).toEqual([
      'reload-failed',
      'reload-failed',
      'reloaded',
      'reloaded',
    ]);
    expect(JSON.stringify(ear.events)).not.toMatch(/the-(old|new)-token/);
  });
});

test('many reloads at once read the settings once, or once more while one runs', async () => {
  const settings = await settleRelayOptions({token: OLD});
  const reads: (() => void)[] = [];
  const ear = new RelayEar();
  const reloads = new Reloads({
    settings,
    reread: () => new Promise((resolve) => reads.push(() => resolve({settings}))),
    parts: {checkReload: async () => {}, reload: async () => {}},
    events: {emit: ear.listen},
  });
  const first = Array.from({length: 5}, () => reloads.reload());
  await eventually(() => expect(reads.length).toBe(1));
  const later = Array.from({length: 5}, () => reloads.reload());
  reads[0]?.();
  await Promise.all(first);
  await eventually(() => expect(reads.length).toBe(2));
  reads[1]?.();
  await Promise.all(later);
  expect([reads.length, ear.all('reloaded').length]).toEqual([2, 2]);
});

test('a token cannot be taken from a relay that others can reach, although the new settings listen on loopback', async () => {
  const now = await settleRelayOptions({listen: '0.0.0.0:0', token: OLD});
  const read = await settleRelayOptions({listen: '127.0.0.1:0', token: ''});
  expect(() => afterReload(now, read)).toThrow(expect.objectContaining({code: 'TOKEN_NEEDED'}));
});

test('settings that need a restart keep their values', async () => {
  const now = await settleRelayOptions({token: OLD});
  const read = await settleRelayOptions({token: NEW, domain: 'r2.localhost', workers: 3});
  const {next, changed, needRestart} = afterReload(now, read);
  expect(changed).toEqual(['token']);
  expect(needRestart).toEqual(['domain', 'workers']);
  expect(next).toEqual({...now, token: NEW});
});

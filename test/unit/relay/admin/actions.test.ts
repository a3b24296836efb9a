// The actions of the admin socket: several operators at the same time.

import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {expect} from 'vitest';
import {Blocked, type BlockedEntry} from '../../../../src/lib/relay/access/blocked.js';
import {BlockedFile} from '../../../../src/lib/relay/access/blocked-file.js';
import {ACTIONS} from '../../../../src/lib/relay/admin/actions.js';
import type {Admin} from '../../../../src/lib/relay/admin/admin.js';
import {RelayEvents} from '../../../../src/lib/relay/events.js';
import {test} from '../../../helpers/test.js';

const DOMAIN = 'r1.example.net';

/** A process of a relay with this state folder. `applied`: what its visitors are compared with, after each change. */
function relayIn(stateDir: string) {
  const applied: string[][] = [];
  const subjectsOf = (entries: readonly BlockedEntry[]) => entries.map(({subject}) => subject);
  const operations = {
    async applyBlocks(entries: readonly BlockedEntry[]) {
      applied.push(subjectsOf(entries));
      return 0;
    },
  };
  const blocked = new BlockedFile(new Blocked(), {stateDir, domain: DOMAIN});
  const admin = {
    options: {
      blocked,
      operations,
      events: new RelayEvents((error) => expect.unreachable(String(error))),
      domain: DOMAIN,
    },
  };
  const run = (name: string, ...words: string[]) => {
    const action = ACTIONS.find((each) => each.name === name);
    return action?.run(admin as unknown as Admin, words);
  };
  return {run, applied, inFile: async () => subjectsOf(await blocked.read()).sort()};
}

test('changes of what is blocked at the same time are all kept, also those of another process', async ({
  scope,
}) => {
  const stateDir = await scope.tempDir('relay');
  const [one, other] = [relayIn(stateDir), relayIn(stateDir)];
  await one.run('block', '203.0.113.1');
  await Promise.all([
    one.run('block', '203.0.113.2'),
    one.run('block', 'owner:ana'),
    one.run('unblock', '203.0.113.1'),
    other.run('block', '203.0.113.3'),
    other.run('block', 'owner:bob'),
  ]);
  expect(await one.inFile()).toEqual(['203.0.113.2', '203.0.113.3', 'ana', 'bob']);
  expect(one.applied.at(-1)).toEqual(expect.arrayContaining(['203.0.113.2', 'ana']));
  expect(one.applied.at(-1)).not.toContain('203.0.113.1');
});

test('an owner in a list of before is the one that agents have, in lower case', async ({scope}) => {
  const stateDir = await scope.tempDir('relay');
  const {run, inFile} = relayIn(stateDir);
  await run('block', 'owner:ana');
  const file = join(stateDir, 'relay', DOMAIN, 'blocked.json');
  writeFileSync(file, readFileSync(file, 'utf8').replace('"ana"', '"Ana"'));
  expect(await inFile()).toEqual(['ana']);
  await run('unblock', 'owner:ANA');
  expect(await inFile()).toEqual([]);
});

test('an unblock that finds nothing changes nothing', async ({scope}) => {
  const {run, applied, inFile} = relayIn(await scope.tempDir('relay'));
  await run('block', '203.0.113.1');
  await expect(run('unblock', '203.0.113.2')).rejects.toMatchObject({code: 'NOT_CONNECTED'});
  expect([await inFile(), applied.length]).toEqual([['203.0.113.1'], 1]);
});

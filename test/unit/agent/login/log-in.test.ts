// What a login does before it asks the relay.

import {expect} from 'vitest';
import {Contexts} from '../../../../src/lib/agent/login/contexts.js';
import {logIn} from '../../../../src/lib/login.js';
import {unusedPort} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';

test('a login under the name of another relay’s is refused, and that one stays', async ({scope}) => {
  const stateDir = await scope.tempDir('state');
  const contexts = new Contexts(stateDir);
  const stored = {name: 'work', relay: 'https://a.example.net', token: 'tunl_a'};
  await contexts.save(stored);
  const asked: string[] = [];
  const logInAt = (relay: string, name: string) =>
    logIn({
      ...{relay, name, stateDir, caFile: undefined, onDeviceCode: () => {}},
      token: async () => 'tunl_b',
      askToken: async () => {
        asked.push(relay);
        return 'tunl_b';
      },
    });
  await expect(logInAt('https://b.example.net', 'work')).rejects.toMatchObject({
    code: 'OPTION_INVALID',
    next: expect.stringContaining('tunl context remove work'),
  });
  expect(await contexts.get('work')).toEqual(stored);
  expect(asked).toEqual([]);
  // A name that nobody has, and the name of the same relay, are taken to the relay.
  const away = `https://127.0.0.1:${await unusedPort()}`;
  await contexts.save({name: 'away', relay: away});
  for (const name of ['home', 'away'])
    await expect(logInAt(away, name)).rejects.toMatchObject({code: expect.stringMatching(/^RELAY_/)});
});

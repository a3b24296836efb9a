// Two tunnels share a link if all settings of their links are equal.

import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect, vi} from 'vitest';
import {Contexts} from '../../src/lib/agent/login/contexts.js';
import {LINK_SETTINGS} from '../../src/lib/agent/settings-table.js';
import {type OptionsOf, settle} from '../../src/lib/core/settings.js';
import {EmbeddedRelays} from '../../src/lib/embedded-relay.js';
import {findRelay} from '../../src/lib/find-relay.js';
import {createAuthority} from '../helpers/certificates.js';
import {test} from '../helpers/test.js';

type Options = OptionsOf<typeof LINK_SETTINGS>;

const around = {embedded: new EmbeddedRelays(), log: undefined, what: '8000'};

async function keyOf(options: Options): Promise<string> {
  const {key} = await findRelay(settle(LINK_SETTINGS, options, {}), around);
  return JSON.stringify(key);
}

test('a different value of any link setting makes another link; files are compared by content', async ({
  scope,
}) => {
  const folder = await scope.tempDir('files');
  const write = async (name: string, text: string) => {
    await writeFile(join(folder, name), text);
    return join(folder, name);
  };
  const base: Options = {relay: 'https://r1.example', stateDir: join(folder, 'one'), token: 'a'.repeat(16)};
  const others: Required<Options> = {
    relay: 'https://r2.example',
    context: 'other',
    token: 'b'.repeat(16),
    tokenFile: await write('token', 'c'.repeat(16)),
    caFile: await write('ca', (await createAuthority()).cert),
    follow: ['r3.example'],
    wait: true,
    maxRetryTimeMs: 1_000,
    connectTimeoutMs: 1_000,
    stateDir: join(folder, 'two'),
  };
  const {token: _, ...withoutToken} = base;
  const {relay: __, ...withoutRelay} = base;
  await new Contexts(join(folder, 'one')).save({name: 'other', relay: 'https://r3.example'});
  const keys = await Promise.all([
    keyOf(base),
    ...Object.keys(LINK_SETTINGS).map((name) =>
      // `token` has priority over `tokenFile`; a context has its relay.
      keyOf({
        ...(name === 'tokenFile' ? withoutToken : name === 'context' ? withoutRelay : base),
        [name]: others[name as keyof Options],
      }),
    ),
  ]);
  expect(new Set(keys).size).toBe(1 + Object.keys(LINK_SETTINGS).length);
  expect(await keyOf({...withoutToken, tokenFile: await write('same', base.token ?? '')})).toBe(keys[0]);
  expect(await keyOf({...base, stateDir: `${folder}/./one/`, relay: 'https://R1.example:443/'})).toBe(
    keys[0],
  );
});

test('an empty TUNL_RELAY is an error, unless the option is given', async () => {
  vi.stubEnv('TUNL_RELAY', '');
  await expect(keyOf({})).rejects.toMatchObject({code: 'RELAY_URL_INVALID', message: 'TUNL_RELAY is empty.'});
  expect(await keyOf({relay: 'https://r1.example', stateDir: '/s'})).toContain('https://r1.example');
  vi.unstubAllEnvs();
});

test('a relay in the process is given back when its authority cannot be read', async ({scope}) => {
  const release = vi.fn(async () => {});
  const caFile = join(await scope.tempDir('gone'), 'ca.pem');
  const relay = {url: 'https://r1.localhost:1', caFile};
  const embedded = {borrow: async () => ({relay, release})} as unknown as EmbeddedRelays;
  const found = findRelay(settle(LINK_SETTINGS, {stateDir: '/s'}, {}), {...around, embedded});
  await expect(found).rejects.toThrow('ca.pem');
  expect(release).toHaveBeenCalledOnce();
});

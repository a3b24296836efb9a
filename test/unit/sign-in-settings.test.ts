// Settings for visitors who sign in: incomplete ones are errors, because a gate that is left out is open.

import {expect, test} from 'vitest';
import {FORWARD_SETTINGS} from '../../src/lib/agent/settings-table.js';
import {createLogger} from '../../src/lib/core/logger.js';
import {type OptionsOf, settle} from '../../src/lib/core/settings.js';
import {openGates} from '../../src/lib/open-gates.js';

const oidc = 'https://id.example.com';
const whole = {oidc, oidcClient: 'site', oidcAllow: ['*@example.com']};

const open = async (options: OptionsOf<typeof FORWARD_SETTINGS>, env: NodeJS.ProcessEnv = {}) =>
  await openGates(
    settle(FORWARD_SETTINGS, {stateDir: '/nowhere', ...options}, env),
    createLogger('test', undefined),
  );

test.each<[OptionsOf<typeof FORWARD_SETTINGS>, string]>([
  [{oidc}, 'OPTION_INVALID'],
  [{oidc, oidcClient: 'site'}, 'OPTION_INVALID'],
  [{oidc, oidcAllow: ['a@b.example']}, 'OPTION_INVALID'],
  [{oidcClient: 'site'}, 'OPTION_INVALID'],
  [{oidcAllow: ['a@b.example']}, 'OPTION_INVALID'],
  [{oidcSecretFile: '/nowhere'}, 'OPTION_INVALID'],
  [{...whole, oidcAllow: ['everybody']}, 'OPTION_INVALID'],
  [{...whole, oidcSecretFile: '/nowhere/secret'}, 'FILE_UNREADABLE'],
  [{...whole, oidcCaFile: '/nowhere/ca'}, 'FILE_UNREADABLE'],
  [{...whole, unencrypted: true}, 'GATE_WITH_TCP'],
  [{...whole, unencrypted: true, private: true}, 'GATE_WITH_TCP'],
  [{...whole, oidc: 'http://id.example.com'}, 'OPTION_INVALID'],
])('%j: %s', async (options, code) => {
  await expect(open(options)).rejects.toMatchObject({code});
});

test('whole ones make a gate, and variables alone make none', async () => {
  expect(await open(whole)).toBeDefined();
  expect(await open({}, {TUNL_OIDC_SECRET: 'x', TUNL_OIDC_CA_FILE: '/nowhere'})).toBeUndefined();
});

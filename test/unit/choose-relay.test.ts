// Which relay and which token a tunnel has: a flag is before the environment, and both are before a stored login.

import {rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect} from 'vitest';
import {Contexts} from '../../src/lib/agent/login/contexts.js';
import {LINK_SETTINGS} from '../../src/lib/agent/settings-table.js';
import {chooseRelay} from '../../src/lib/choose-relay.js';
import {type OptionsOf, settle} from '../../src/lib/core/settings.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';

const A = 'https://a.example';
const B = 'https://b.example';

async function setUp(scope: Scope) {
  const stateDir = await scope.tempDir('state');
  const contexts = new Contexts(stateDir);
  await contexts.save({name: 'a', relay: A, token: 'token-of-a', caFile: '/ca-of-a'});
  await contexts.save({name: 'b', relay: B});
  const choose = async (
    options: OptionsOf<typeof LINK_SETTINGS>,
    env: NodeJS.ProcessEnv = {},
  ): Promise<object | undefined> => {
    const chosen = await chooseRelay(settle(LINK_SETTINGS, {...options, stateDir}, env), env);
    if (chosen === undefined) return undefined;
    const {origin, context, caFile} = chosen;
    return {origin, context, caFile, token: await chosen.token()};
  };
  return {stateDir, contexts, choose};
}

const TOKENS = {TUNL_TOKEN: 'token-of-env'};
const ofA = {origin: A, context: 'a', caFile: '/ca-of-a', token: 'token-of-a'};

test.for<[name: string, OptionsOf<typeof LINK_SETTINGS>, NodeJS.ProcessEnv, object | undefined]>([
  ['nothing: the relay inside the process', {}, {}, undefined],
  ['a token alone is for no relay', {}, TOKENS, undefined],
  ['a context', {context: 'a'}, {}, ofA],
  ['a context of the environment', {}, {TUNL_CONTEXT: 'a'}, ofA],
  ['the token of the environment is not for the relay of a context', {context: 'a'}, TOKENS, ofA],
  ['a context after a logout has no token', {context: 'b'}, TOKENS, {origin: B, context: 'b'}],
  ['a token that is given with a context', {context: 'a', token: 'given'}, TOKENS, {...ofA, token: 'given'}],
  ['the CA of a context is before that of the environment', {context: 'a'}, {TUNL_CA_FILE: '/env'}, ofA],
  ['a CA that is given is before it', {context: 'a', caFile: '/x'}, {}, {...ofA, caFile: '/x'}],
  ['a relay with a stored login', {relay: `${A}/`}, {}, ofA],
  ['a relay of the environment with a stored login', {}, {TUNL_RELAY: A}, ofA],
  ['a relay and a token', {relay: A, token: 'given'}, {}, {origin: A, token: 'given'}],
  ['both of the environment', {}, {TUNL_RELAY: A, ...TOKENS}, {origin: A, token: 'token-of-env'}],
  ['a relay without a login', {relay: 'https://c.example'}, {}, {origin: 'https://c.example'}],
  ['a context is before the relay of the environment', {context: 'a'}, {TUNL_RELAY: B}, ofA],
  [
    'a relay is before the context of the environment',
    {relay: B},
    {TUNL_CONTEXT: 'a'},
    {origin: B, context: 'b'},
  ],
  ['embedded', {context: 'embedded'}, {TUNL_RELAY: A}, undefined],
  ['embedded in the environment', {}, {TUNL_CONTEXT: 'embedded'}, undefined],
])('%s', async ([, options, env, expected], {scope}) => {
  const {choose} = await setUp(scope);
  const chosen = await choose(options, env);
  expect(chosen && JSON.parse(JSON.stringify(chosen))).toEqual(expected);
});

test.for<[OptionsOf<typeof LINK_SETTINGS>, NodeJS.ProcessEnv, string]>([
  [{relay: A, context: 'a'}, {}, 'OPTION_INVALID'],
  [{}, {TUNL_RELAY: A, TUNL_CONTEXT: 'b'}, 'OPTION_INVALID'],
  [{context: 'nope'}, {}, 'CONTEXT_UNKNOWN'],
  [{context: '../a'}, {}, 'CONTEXT_UNKNOWN'],
  [{}, {TUNL_RELAY: ''}, 'RELAY_URL_INVALID'],
  [{relay: 'http://a.example'}, {}, 'RELAY_URL_INVALID'],
])('%j with %j: %s', async ([options, env, code], {scope}) => {
  const {choose} = await setUp(scope);
  await expect(choose(options, env)).rejects.toMatchObject({code});
});

test('a tunnel that runs takes the token of a later login', async ({scope}) => {
  const {stateDir, contexts} = await setUp(scope);
  const chosen = await chooseRelay(settle(LINK_SETTINGS, {context: 'a', stateDir}, {}), {});
  await contexts.save({name: 'a', relay: A, token: 'a-new-one'});
  expect(await chosen?.token()).toBe('a-new-one');
  await writeFile(join(stateDir, 'contexts', 'a.json'), 'damaged');
  expect(await chosen?.token()).toBe('token-of-a');
});

test.for([{relay: A}, {context: 'b'}])(
  'a file with an issuer’s token is read again, and one with the relay’s is not: %j',
  async (where, {scope}) => {
    const {stateDir} = await setUp(scope);
    const tokenFile = join(stateDir, 'token');
    const choose = async (token: string) => {
      await writeFile(tokenFile, `${token}\n`);
      return await chooseRelay(settle(LINK_SETTINGS, {...where, tokenFile, stateDir}, {}), {});
    };
    const ofRelay = await choose('token-of-relay');
    await writeFile(tokenFile, 'another');
    expect(await ofRelay?.token()).toBe('token-of-relay');
    const ofIssuer = await choose('eyJh.b.one');
    await writeFile(tokenFile, 'eyJh.b.two');
    expect(await ofIssuer?.token()).toBe('eyJh.b.two');
    await writeFile(tokenFile, 'eyJ');
    expect(await ofIssuer?.token()).toBe('eyJh.b.two');
    await rm(tokenFile);
    expect(await ofIssuer?.token()).toBe('eyJh.b.two');
  },
);

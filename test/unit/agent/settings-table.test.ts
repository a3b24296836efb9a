// The tables of a tunnel's settings, and what is written by hand beside them: types with sentences for those who use the library.

import {expect} from 'vitest';
import type {ForwardOptions, UpstreamTls} from '../../../src/lib/agent/options.js';
import {FORWARD_SETTINGS, UPSTREAM_TLS_SETTINGS} from '../../../src/lib/agent/settings-table.js';
import type {OptionsOf} from '../../../src/lib/core/settings.js';
import {forward} from '../../../src/lib/forward.js';
import {commentsOf, type Same, wrongDefaults} from '../../helpers/settings.js';
import {test} from '../../helpers/test.js';

/** Values that no flag, variable or file could say. */
type Others = 'signal' | 'onEvent' | 'log' | 'upstreamTls';

test('the options of forward are those of the table and those that are not values', () => {
  const same: Same<
    Required<OptionsOf<typeof FORWARD_SETTINGS>>,
    Required<Omit<ForwardOptions, Others>>
  > = true;
  const sameTls: Same<Required<OptionsOf<typeof UPSTREAM_TLS_SETTINGS>>, Required<UpstreamTls>> = true;
  expect([same, sameTls]).toEqual([true, true]);
});

test('the comments of the options have the defaults of the table', () => {
  const path = 'src/lib/agent/options.ts';
  expect(wrongDefaults(path, 'ForwardOptions', FORWARD_SETTINGS)).toEqual([]);
  expect(wrongDefaults(path, 'UpstreamTls', UPSTREAM_TLS_SETTINGS)).toEqual([]);
});

/** Options that do not go together with `unencrypted`, each as far as it needs others. */
const NOT_UNENCRYPTED: Readonly<Record<string, ForwardOptions>> = {
  h2: {h2: true},
  basicAuth: {basicAuth: 'guest', basicAuthPassword: 'some long password'},
  oidc: {oidc: 'https://id.example.com', oidcClient: 'site', oidcAllow: ['*@example.com']},
  forwarded: {forwarded: true},
  lan: {lan: true},
};

test('the comments say which options do not go together with `unencrypted`, and these are refused', async ({
  scope,
}) => {
  const commentOf = commentsOf('src/lib/agent/options.ts', 'ForwardOptions');
  const said = Object.keys(FORWARD_SETTINGS).filter((option) =>
    /Not (?:together )?with[^.]*`unencrypted`/.test(commentOf(option).replaceAll(/\s+\* /g, ' ')),
  );
  expect(said.sort()).toEqual(Object.keys(NOT_UNENCRYPTED).sort());
  const stateDir = await scope.tempDir('state');
  for (const options of Object.values(NOT_UNENCRYPTED)) {
    const refused = forward(8000, {...options, unencrypted: true, stateDir, context: 'embedded'});
    await expect(refused).rejects.toMatchObject({code: expect.stringMatching(/_WITH_TCP$/)});
  }
});

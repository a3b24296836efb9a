// The tables of a tunnel's settings, and what is written by hand beside them: types with sentences for those who use the library.

import {expect, test} from 'vitest';
import type {ForwardOptions, UpstreamTls} from '../../../src/lib/agent/options.js';
import {FORWARD_SETTINGS, UPSTREAM_TLS_SETTINGS} from '../../../src/lib/agent/settings-table.js';
import type {OptionsOf} from '../../../src/lib/core/settings.js';
import {type Same, wrongDefaults} from '../../helpers/settings.js';

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

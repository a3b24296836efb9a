// The table of the relay's settings, and what is written by hand beside it: types with sentences for those who use the library.

import {expect, test} from 'vitest';
import type {OptionsOf} from '../../../src/lib/core/settings.js';
import type {RelayOptions} from '../../../src/lib/relay/options.js';
import {RELAY_SETTINGS} from '../../../src/lib/relay/settings-table.js';
import {type Same, wrongDefaults} from '../../helpers/settings.js';

test('the options of startRelay are those of the table and those that are not values', () => {
  const same: Same<
    Required<OptionsOf<typeof RELAY_SETTINGS>>,
    Required<Omit<RelayOptions, 'signal' | 'log'>>
  > = true;
  expect(same).toBe(true);
});

test('the comments of the options have the defaults of the table', () => {
  expect(wrongDefaults('src/lib/relay/options.ts', 'RelayOptions', RELAY_SETTINGS)).toEqual([]);
});

// docs/relay-config.md has every setting of the table, with its default and its meaning.

import {readFileSync} from 'node:fs';
import {expect, test} from 'vitest';
import {referencePage} from '../../src/lib/cli/config/reference.js';
import {readSettingsText} from '../../src/lib/cli/config/settings-file.js';
import {CONFIG_SETTINGS} from '../../src/lib/cli/relay-flags.js';
import {ROOT} from './source-files.js';

const page = readFileSync(`${ROOT}/docs/relay-config.md`, 'utf8');

test('the tables are those of the code: run `node scripts/relay-config.js` after a build', () => {
  expect(page).toBe(referencePage(page));
});

test('the example on the page has no mistakes', async () => {
  const [, example = ''] = /```yaml\n([\s\S]*?)```/.exec(page) ?? [];
  const {values, mistakes} = await readSettingsText(example, '/etc/tunl/relay.yaml', CONFIG_SETTINGS);
  expect(mistakes).toEqual([]);
  expect(values.size).toBeGreaterThan(5);
});

// Flags of a settings table, parsed by oclif, and a settings file that has lower priority.

import {parse} from '@oclif/core/parser';
import {expect, test} from 'vitest';
import {FORWARD_SETTINGS} from '../../../src/lib/agent/settings-table.js';
import {flagsOf, optionsOf} from '../../../src/lib/cli/setting-flags.js';
import {list, onOff, readTexts, setting, settle, text, time} from '../../../src/lib/core/settings.js';

const TABLE = {
  waitMs: setting(time({minMs: 1}), {
    default: 20_000,
    flag: 'wait',
    env: 'TUNL_TEST_WAIT',
    help: 'How long.',
  }),
  names: setting(list(text('NAME', (name) => name.toLowerCase())), {
    default: [],
    flag: 'name',
    group: 'names',
  }),
  eager: setting(onOff, {default: false, flag: 'eager'}),
  inside: setting(text('TEXT'), {}),
};

const options = async (...argv: string[]) =>
  optionsOf(TABLE, (await parse(argv, {flags: flagsOf(TABLE), strict: true})).flags);

test('only settings that have a flag appear, each with its help', () => {
  expect(flagsOf(TABLE)).toMatchObject({
    wait: {type: 'option', summary: 'How long. (20s)', helpValue: 'TIME', env: 'TUNL_TEST_WAIT'},
    name: {type: 'option', multiple: true, helpGroup: 'names'},
    eager: {type: 'boolean'},
  });
  expect(Object.keys(flagsOf(TABLE))).toEqual(['wait', 'name', 'eager']);
});

test('given flags become options under the library’s names; others are left out', async () => {
  expect(await options()).toEqual({});
  expect(await options('--wait', '2m', '--name', 'A', '--name', 'B', '--eager')).toEqual({
    waitMs: 120_000,
    names: ['a', 'b'],
    eager: true,
  });
});

test('a flag that turns a setting off has its own help, and gives false', async () => {
  const table = {
    probe: setting(onOff, {
      default: true,
      flag: 'no-probe',
      key: 'probe',
      help: 'Probe.',
      off: 'Do not probe.',
    }),
  };
  expect(flagsOf(table)).toMatchObject({'no-probe': {type: 'boolean', summary: 'Do not probe.'}});
  const given = async (...argv: string[]) =>
    settle(table, optionsOf(table, (await parse(argv, {flags: flagsOf(table), strict: true})).flags)).probe;
  expect([await given(), await given('--no-probe')]).toEqual([true, false]);
});

test('an environment variable is used when its flag is missing', async () => {
  process.env.TUNL_TEST_WAIT = '3s';
  try {
    expect(await options()).toEqual({waitMs: 3_000});
    expect(await options('--wait', '1s')).toEqual({waitMs: 1_000});
  } finally {
    delete process.env.TUNL_TEST_WAIT;
  }
});

test('the error for an invalid value names the flag', async () => {
  await expect(options('--wait', '0s')).rejects.toMatchObject({
    cause: {code: 'OPTION_INVALID', message: '--wait: 0s is not possible.', next: 'Give more than 0s.'},
  });
});

test('flags have priority over a file: a switch that is not given does not turn off the one in the file', async () => {
  const file: Readonly<Record<string, string>> = {
    h2: 'true',
    subdomain: 'of-the-file',
    'wait-upstream': '5s',
  };
  const {flags} = await parse(['--subdomain', 'of-the-flag'], {
    flags: flagsOf(FORWARD_SETTINGS),
    strict: true,
  });
  const fromFile = readTexts(FORWARD_SETTINGS, ({flag}) => (flag === undefined ? undefined : file[flag]));
  expect(settle(FORWARD_SETTINGS, {...fromFile, ...optionsOf(FORWARD_SETTINGS, flags)}, {})).toMatchObject({
    h2: true,
    unencrypted: false,
    subdomain: 'of-the-flag',
    waitUpstreamMs: 5_000,
  });
});

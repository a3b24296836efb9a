// Tables of settings: values from a program, the environment or a file, and defaults.

import {describe, expect, test} from 'vitest';
import {
  file,
  helpOf,
  type Kind,
  list,
  onOff,
  readTexts,
  setting,
  settle,
  size,
  text,
  time,
  wholeNumber,
  wholeTime,
} from '../../../src/lib/core/settings.js';

const TABLE = {
  waitMs: setting(time(), {default: 20_000, flag: 'wait', env: 'WAIT', help: 'How long.'}),
  most: setting(wholeNumber({min: 1, max: 100}), {default: 10, env: 'MOST'}),
  names: setting(list(text('NAME'), {most: 2}), {default: [], flag: 'name'}),
  eager: setting(onOff, {default: false, flag: 'eager', env: 'EAGER', help: 'At once.'}),
  token: setting(text('TOKEN'), {env: 'TOKEN', envUnless: 'tokenFile'}),
  tokenFile: setting(file, {flag: 'token-file', help: 'Its file.', defaultText: 'none'}),
  home: setting(text('FOLDER'), {default: () => '/home/of/this/user'}),
};

describe('settle', () => {
  test('an option has priority over the environment, and the environment over the default', () => {
    const env = {WAIT: '5s', MOST: '7', EAGER: 'yes'};
    expect(settle(TABLE, {waitMs: 1}, env)).toEqual({
      waitMs: 1,
      most: 7,
      names: [],
      eager: true,
      token: undefined,
      tokenFile: undefined,
      home: '/home/of/this/user',
    });
  });

  test('an empty variable does not count, and undefined is no value', () => {
    const options = {waitMs: undefined} as unknown as {waitMs: number};
    expect(settle(TABLE, options, {WAIT: '', MOST: ''})).toMatchObject({waitMs: 20_000, most: 10});
  });

  test('a variable is not read when another setting replaces it', () => {
    expect(settle(TABLE, {tokenFile: 'of-mine'}, {TOKEN: 'of-another-relay'}).token).toBeUndefined();
    expect(settle(TABLE, {}, {TOKEN: 'given'}).token).toBe('given');
    expect(settle(TABLE, {token: ''}, {TOKEN: 'given'}).token).toBe('');
  });

  test.each([
    [{most: 101}, 'most is a whole number from 1 to 100, not 101.'],
    [{most: 1.5}, 'most is a whole number from 1 to 100, not 1.5.'],
    [{waitMs: -1}, 'waitMs is a number of milliseconds, not -1.'],
    [{waitMs: Number.NaN}, 'waitMs is a number of milliseconds, not NaN.'],
    [{names: ['a', 'b', 'c']}, 'names has 2 values at the most.'],
    [{tokenFile: 5 as unknown as string}, 'tokenFile is a text, not number.'],
  ])('%j is refused', (options, message) => {
    expect(() => settle(TABLE, options, {})).toThrow(
      expect.objectContaining({code: 'OPTION_INVALID', message}),
    );
  });

  test('an error in the environment names the variable', () => {
    expect(() => settle(TABLE, {}, {WAIT: '5'})).toThrow('WAIT: "5" is not a duration.');
  });
});

test('the same table reads a file with a value for each flag', () => {
  const parsed: Readonly<Record<string, string | readonly string[]>> = {
    wait: '1h30m',
    eager: 'true',
    name: ['a', 'b'],
  };
  const options = readTexts(
    TABLE,
    ({flag}) => (flag === undefined ? undefined : parsed[flag]),
    ({flag}) => `tunl.yaml: ${flag}`,
  );
  expect(options).toEqual({waitMs: 5_400_000, eager: true, names: ['a', 'b']});
  expect(() =>
    readTexts(
      TABLE,
      ({flag}) => (flag === 'wait' ? 'soon' : undefined),
      ({flag}) => `tunl.yaml: ${flag}`,
    ),
  ).toThrow('tunl.yaml: wait: "soon" is not a duration.');
});

test.each([
  ['waitMs', 'How long. (20s)'],
  ['eager', 'At once.'],
  ['tokenFile', 'Its file. (none)'],
] as const)('the help of %s', (name, help) => {
  expect(helpOf(TABLE[name])).toBe(help);
});

describe('kinds', () => {
  const idle = wholeTime({minMs: 1_000, maxMs: 60_000, orZero: true});
  const cases: [string, Kind<unknown>, string, unknown][] = [
    ['a time', idle, '30s', 30_000],
    ['a time that is off', idle, '0s', 0],
    ['a number', wholeNumber({min: 0, max: 9}), '7', 7],
    ['a size', size({min: 0, max: 2 ** 30}), '512MiB', 2 ** 29],
    ['a size of single bytes', size({min: 0, max: 2 ** 30}), '1025', 1_025],
    ['a switch', onOff, 'false', false],
    ['a text', text('NAME', (name) => name.toLowerCase()), 'one', 'one'],
  ];
  test.each(cases)('%s is written as it is read', (_what, kind, written, value) => {
    expect(kind.parse(written)).toBe(value);
    expect(kind.show(value)).toBe(written);
    expect(kind.check(value, 'it')).toBe(value);
  });

  test.each([
    [idle, '1ms', 'Give at least 1s, or 0s.'],
    [idle, '2m', 'Give at most 1m, or 0s.'],
    [time({minMs: 1}), '0s', 'Give more than 0s.'],
    [size({min: 1_024, max: 2 ** 30}), '512', 'Give a size from 1KiB to 1GiB, like 512MiB.'],
    [size({min: 1_024, max: 2 ** 30}), '5MB', 'Give a size from 1KiB to 1GiB, like 512MiB.'],
    [wholeNumber({min: 0, max: 9}), '1e1', 'Give a whole number from 0 to 9.'],
  ])('%# is refused with a valid example', (kind, written, next) => {
    expect(() => kind.parse(written)).toThrow(expect.objectContaining({code: 'OPTION_INVALID', next}));
  });

  test('a program gives a whole number of milliseconds within the same limits', () => {
    expect(() => idle.check(999, 'idleMs')).toThrow(
      'idleMs is a whole number from 1000 to 60000, or 0, not 999.',
    );
    expect(() => idle.check(1_000.5, 'idleMs')).toThrow('not 1000.5');
  });
});

import {describe, expect, test} from 'vitest';
import {
  checkExposed,
  checkProgram,
  checkSize,
  checkWords,
  readExposed,
} from '../../../src/lib/cluster/options.js';

const invalid = {code: 'CLUSTER_INVALID'};

describe('sizes', () => {
  test.each([1, 2, 32])('%s', (size) => expect(checkSize(size)).toBe(size));
  test.each([0, 33, -1, 1.5, Number.NaN, '2', undefined, null])('not %s', (size) => {
    expect(() => checkSize(size)).toThrow(expect.objectContaining(invalid));
  });
});

test('what is wrong with a size, and what is right', () => {
  expect(() => checkSize('')).toThrow(
    expect.objectContaining({
      message: 'The size of a cluster is a whole number from 1 to 32, not "".',
      next: 'Give a whole number from 1 to 32.',
    }),
  );
});

describe('exposed ports', () => {
  test('0:8265', () => expect(readExposed('0:8265')).toEqual({rank: 0, port: 8265}));
  test.each(['', '8265', ':8265', '0:', 'a:1', '0:1:2', '-1:80', '0:999999'])('not %j', (text) => {
    expect(() => readExposed(text)).toThrow(expect.objectContaining(invalid));
  });
  test.each([[{rank: 2, port: 80}], [{rank: 0, port: 0}], [{rank: 0, port: 65_536}]])(
    'not %j of two members',
    (port) => {
      expect(() => checkExposed([port], 2)).toThrow(expect.objectContaining(invalid));
    },
  );
  test('not twice', () => {
    const port = {rank: 1, port: 80};
    expect(() => checkExposed([port, port], 2)).toThrow(expect.objectContaining(invalid));
  });
});

test.each([[[]], [['']], [['a', 'b\0']], ['true'], [undefined]])('%j is no command', (argv) => {
  expect(() => checkWords(argv)).toThrow(expect.objectContaining(invalid));
});

test.each([{restarts: -1}, {restarts: 1.5}, {masterPort: 0}, {masterPort: 65_536}, {graceMs: -1}])(
  '%j is refused',
  (options) => {
    expect(() => checkProgram(options)).toThrow(expect.objectContaining(invalid));
  },
);

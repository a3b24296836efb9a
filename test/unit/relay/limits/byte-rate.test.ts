// Bytes a second as people write them.

import {expect, test} from 'vitest';
import {byteRate} from '../../../../src/lib/relay/limits/byte-rate.js';

test.each([
  ['10000', 10_000, '10K'],
  ['500K', 500_000, '500K'],
  ['500kB', 500_000, '500K'],
  ['10M', 10_000_000, '10M'],
  ['10MB/s', 10_000_000, '10M'],
  ['1.5G', 1_500_000_000, '1.5G'],
  ['12345', 12_345, '12.345K'],
  ['1234567', 1_234_567, '1234.567K'],
])('%s', (written, bytes, shown) => {
  expect(byteRate.parse(written)).toBe(bytes);
  expect(byteRate.show(bytes)).toBe(shown);
  expect(byteRate.parse(shown)).toBe(bytes);
});

test.each([
  '',
  '0',
  '-1',
  '9K',
  '10',
  '1e9',
  '10 M',
  '10T',
  '1001G',
  'M',
  '٣M',
  '1.2.3M',
  `${'9'.repeat(400)}M`,
])('%j is refused', (written) => {
  expect(() => byteRate.parse(written)).toThrow(expect.objectContaining({code: 'OPTION_INVALID'}));
});

test.each([0, 9_999, 1.5e4 + 0.5, Number.NaN, Number.POSITIVE_INFINITY, '10M'])(
  '%j of a program is refused',
  (value) => {
    expect(() => byteRate.check(value as number, 'bytesPerSecond')).toThrow(
      expect.objectContaining({code: 'OPTION_INVALID'}),
    );
  },
);

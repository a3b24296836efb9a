import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {nearest, typingDistance} from '../../../src/lib/cli/nearest.js';

describe('nearest', () => {
  const flags = ['--tcp', '--h2', '--subdomain', '--drain-timeout', '--token-file'];

  test.each([
    ['--tpc', '--tcp'],
    ['--subdomian', '--subdomain'],
    ['--SUBDOMAIN', '--subdomain'],
    ['--drain', '--drain-timeout'],
    ['--tokenfile', '--token-file'],
    ['--verbose', undefined],
    ['', undefined],
  ])('%s means %s', (typed, meant) => {
    expect(nearest(typed, flags)).toBe(meant);
  });
});

describe('typingDistance', () => {
  test.each([
    ['', '', 0],
    ['expose', 'expose', 0],
    ['expsoe', 'expose', 1],
    ['expose', 'expos', 1],
    ['relay', 'rely', 1],
    ['abc', '', 3],
  ])('%j and %j: %i', (a, b, distance) => {
    expect(typingDistance(a, b)).toBe(distance);
  });

  test('is symmetric, zero only for the same, and at most the longer word', () => {
    fc.assert(
      fc.property(fc.string({maxLength: 12}), fc.string({maxLength: 12}), (a, b) => {
        const distance = typingDistance(a, b);
        expect(distance).toBe(typingDistance(b, a));
        expect(distance === 0).toBe(a === b);
        expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length));
      }),
    );
  });
});

// The threat model names a test for each attack, and each is a test that runs.

import {existsSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {describe, expect, test} from 'vitest';
import {ROOT} from './source-files.js';

const text = readFileSync(join(ROOT, 'docs/security.md'), 'utf8');

/** The rows of the tables about attacks: attack, answer, tests. */
const rows = text
  .split('\n## ')
  .filter((section) => section.includes('| Attack | Answer | Test |'))
  .flatMap((section) => section.split('\n'))
  .filter((line) => /^\| (?!Attack|-)/.test(line) && !line.startsWith('|---'))
  .map((line) => line.split('|').map((cell) => cell.trim()));

test('there are attacks by everybody', () => {
  expect(rows.length).toBeGreaterThan(40);
});

describe.each(rows)('%s %s', (_edge, _attack, answer, tests = '') => {
  test('has an answer, and tests that exist', () => {
    expect(answer).not.toBe('');
    const files = tests.match(/test\/[\w./-]+\.test\.ts/g) ?? [];
    expect(files).not.toEqual([]);
    expect(files.filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
  });
});

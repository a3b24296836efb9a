// docs/errors.md has the same codes and texts as src/lib/core/errors.ts and src/lib/cli/next-steps.ts.

import {readFileSync} from 'node:fs';
import {describe, expect, test} from 'vitest';
import {NEXT_STEPS} from '../../src/lib/cli/next-steps.js';
import {ERRORS, EXIT} from '../../src/lib/core/errors.js';

const doc = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
const cell = (text: string) => text.replaceAll('|', '\\|');

/** The lines of the table whose first cell matches. */
function rows(first: RegExp): string[] {
  return doc.split('\n').filter((line) => first.test(line.split('|')[1]?.trim() ?? ''));
}

describe('docs/errors.md', () => {
  test('has every error, with the same text as the table in the code', () => {
    // A failure shows the expected lines.
    const expected = Object.entries(ERRORS).map(
      ([code, row]) =>
        `| \`${code}\` | ${cell(row.sentence)} | ${row.exitCode} | ${row.retryable ? 'yes' : 'no'} | ${cell(row.next)} |`,
    );
    expect(rows(/^`[A-Z][A-Z0-9_]+`$/)).toEqual(expected);
  });

  test('has every next step in which a command names its flags', () => {
    const expected = Object.entries(NEXT_STEPS).map(([code, step]) => `| ${code} | ${cell(step)} |`);
    expect(rows(/^[A-Z][A-Z0-9_]+$/)).toEqual(expected);
  });

  test('says nothing twice', () => {
    const firsts = doc.split('\n').flatMap((line) => /^\| ([^|]*[a-z] [^|]*) \|/.exec(line)?.[1] ?? []);
    expect(firsts.filter((first, at) => firsts.indexOf(first) !== at)).toEqual([]);
  });

  test('has every exit code', () => {
    expect(rows(/^\d+$/).map((line) => Number(line.split('|')[1]))).toEqual(Object.values(EXIT));
  });
});

describe('the table', () => {
  test.each(Object.entries(ERRORS))('%s reads well', (_code, row) => {
    expect(row.sentence).toMatch(/^\S.*\.$/);
    expect(row.next).toMatch(/^\S.*\.$/);
    expect(Object.values(EXIT)).toContain(row.exitCode);
    expect(row.exitCode).not.toBe(EXIT.ok);
    // The library has no flags and no commands.
    expect(row.next).not.toMatch(/--\w|`tunl/);
  });
});

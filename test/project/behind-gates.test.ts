// The tests that do not run behind gates are named with a reason, and exist.
import {existsSync, readFileSync} from 'node:fs';
import {expect, test} from 'vitest';
import config from '../../vitest.config.js';
import {GATES} from '../helpers/behind-gate.js';
import {NOT_BEHIND_GATES} from '../helpers/not-behind-gates.js';

const pathOf = (file: string) => `test/e2e/${file}.test.ts`;

/** Files by gate. */
const behind = new Map(
  (config.test?.projects ?? []).flatMap((project) => {
    if (typeof project !== 'object' || !('test' in project)) return [];
    const {name, include = []} = project.test ?? {};
    return String(name).startsWith('behind-') ? [[String(name), include] as const] : [];
  }),
);

test('each gate has its run, and the files of the runs exist', () => {
  expect([...behind.keys()]).toEqual(GATES.map((gate) => `behind-${gate}`));
  for (const files of behind.values()) for (const file of files) expect(existsSync(file), file).toBe(true);
});

test.for(NOT_BEHIND_GATES)('$file: $title does not run behind gates', ({file, title, why}) => {
  const isRun = [...behind.values()].some((files) => files.includes(pathOf(file)));
  expect([isRun, why.length > 20]).toEqual([title !== undefined, true]);
  const text = readFileSync(pathOf(file), 'utf8');
  if (title !== undefined) expect(text).toContain(`'${title}'`);
});

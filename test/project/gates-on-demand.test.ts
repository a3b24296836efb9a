// Without a flag of a gate nothing of it is loaded.

import {globSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {expect, test} from 'vitest';
import {ROOT} from './source-files.js';

test('the code of gates is loaded on demand: no part of the bundle that `expose` begins with has it', () => {
  const files = globSync('dist/bundle/**/*.js', {cwd: ROOT});
  const marks = (file: string) => readFileSync(join(ROOT, file), 'utf8').includes('__Host-tunl-');
  const having = files.filter(marks);
  expect(having.length).toBeGreaterThan(0);
  const importing = (file: string) =>
    [
      ...readFileSync(join(ROOT, file), 'utf8').matchAll(/^(?:import|export)\b[^;]*? from "(\.[^"]+)";$/gm),
    ].map(([, to = '']) => join(file, '..', to));
  const first = new Set(['dist/bundle/start.js', 'dist/bundle/commands/expose.js']);
  for (const file of first) for (const to of importing(file)) first.add(to);
  expect(having.filter((file) => first.has(file))).toEqual([]);
  expect(first.size).toBeGreaterThan(2);
});

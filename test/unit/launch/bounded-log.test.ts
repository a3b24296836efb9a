// A log in two files: bounded, complete for a reader that keeps up, and with a notice for one that does not.

import {closeSync, openSync, readdirSync, statSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import {expect} from 'vitest';
import {readLog} from '../../../src/lib/cli/read-log.js';
import {BoundedLog} from '../../../src/lib/launch/bounded-log.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

const MAX = 100;

async function newLog(scope: Scope) {
  const folder = await scope.tempDir('log');
  const path = join(folder, 'abcdef.log');
  const fd = openSync(path, 'a', 0o600);
  scope.onEnd(() => closeSync(fd));
  const log = new BoundedLog(path, fd, MAX);
  const say = (...lines: string[]) => {
    for (const line of lines) {
      log.makeRoom();
      writeSync(fd, `${line}\n`);
    }
  };
  return {folder, path, say};
}

const numbers = (from: number, to: number) =>
  Array.from({length: to - from}, (_, at) => `line ${String(from + at).padStart(4, '0')}`);

async function collect(lines: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

test('two files of limited size, whatever is written; a reader gets the end in order', async ({scope}) => {
  const {folder, path, say} = await newLog(scope);
  say(...numbers(0, 1000));
  const names = readdirSync(folder);
  expect(names).toHaveLength(2);
  for (const name of names) {
    const {size, mode} = statSync(join(folder, name));
    expect(size).toBeLessThanOrEqual(MAX + 10);
    expect(mode & 0o777).toBe(0o600);
  }
  const read = await collect(readLog(path, () => false));
  expect(read.length).toBeGreaterThan(MAX / 10);
  expect(read).toEqual(numbers(1000 - read.length, 1000));
});

test('a reader that follows misses nothing when the log starts a new file', async ({scope}) => {
  const {path, say} = await newLog(scope);
  say(...numbers(0, 9));
  let next = 9;
  const read = await collect(
    readLog(path, () => {
      // Enough to fill the file once between two reads.
      say(...numbers(next, next + 8));
      next += 8;
      return next < 60;
    }),
  );
  expect(read).toEqual(numbers(0, next));
});

test('a reader that missed lines says so and continues', async ({scope}) => {
  const {path, say} = await newLog(scope);
  say(...numbers(0, 5));
  let looks = 0;
  const read = await collect(
    readLog(path, () => {
      looks += 1;
      if (looks === 1) say(...numbers(5, 95));
      return looks < 2;
    }),
  );
  const gap = read.findIndex((line) => line.startsWith('[lines are left out'));
  expect(read.slice(0, gap)).toEqual(numbers(0, 5));
  const rest = read.slice(gap + 1);
  expect(rest).toEqual(numbers(95 - rest.length, 95));
});

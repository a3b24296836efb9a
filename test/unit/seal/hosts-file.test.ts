// /etc/hosts of a member: readers of any moment see whole lines.
import {readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {expect} from 'vitest';
import {HostsFile} from '../../../src/lib/seal/hosts-file.js';
import {test} from '../../helpers/test.js';

const member = (number: number) => ({
  address: `fdaa::${number}`,
  names: [`m${number}.lab.tunl.internal`, `m${number}`],
});

test('members come and go, each in a place of its own, and the first lines stay', async ({scope}) => {
  const path = join(await scope.tempDir(), 'hosts');
  writeFileSync(path, '');
  const file = new HostsFile(path, ['127.0.0.1 localhost', 'fdaa::1 own.lab.tunl.internal own']);
  const raw = () => readFileSync(path, 'latin1');
  const lines = () =>
    raw()
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && line !== '#');
  const first = ['127.0.0.1 localhost', 'fdaa::1 own.lab.tunl.internal own'];
  expect(lines()).toEqual(first);
  file.setHosts([2, 3, 4].map(member));
  const before = raw();
  expect(lines()).toEqual([
    ...first,
    ...[2, 3, 4].map((each) => `fdaa::${each} m${each}.lab.tunl.internal m${each}`),
  ]);
  file.setHosts([2, 4, 5].map(member));
  expect(lines().sort()).toEqual(
    [...first, ...[2, 4, 5].map((each) => `fdaa::${each} m${each}.lab.tunl.internal m${each}`)].sort(),
  );
  // A reader in the middle of the change: the lines of members that stay have not moved.
  for (const each of [2, 4]) expect(raw().indexOf(`fdaa::${each} `)).toBe(before.indexOf(`fdaa::${each} `));
  expect(raw()).toHaveLength(before.length);
  expect(4_096 % (raw().indexOf('\n') + 1)).toBe(0);
  file.setHosts([]);
  expect(lines()).toEqual(first);
  file.close();
  file.close();
  file.setHosts([member(9)]);
  expect(lines()).toEqual(first);
});

test('a line that is too long loses its last names, and no other line', async ({scope}) => {
  const path = join(await scope.tempDir(), 'hosts');
  writeFileSync(path, '');
  const file = new HostsFile(path, []);
  file.setHosts([{address: 'fdaa::2', names: ['unique', 'x'.repeat(200), 'y'.repeat(100)]}, member(3)]);
  const lines = readFileSync(path, 'latin1')
    .split('\n')
    .map((line) => line.trim().split(' '));
  expect(lines[0]).toEqual(['fdaa::2', 'unique', 'x'.repeat(200)]);
  expect(lines[1]?.[0]).toBe('fdaa::3');
  file.close();
});

test('a file system without room for a line ends nothing', () => {
  const file = new HostsFile('/dev/full', []);
  file.setHosts([member(2)]);
  file.setHosts([]);
  file.close();
});

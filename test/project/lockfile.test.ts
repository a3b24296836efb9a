// The lock file works with any registry or mirror, and the installed packages are the tested ones.

import {readFileSync} from 'node:fs';
import {expect, test} from 'vitest';
import {ROOT} from './source-files.js';

interface LockFile {
  packages: Record<string, {version?: string; resolved?: string; link?: boolean; integrity?: string}>;
}

const read = (name: string) => JSON.parse(readFileSync(`${ROOT}/${name}`, 'utf8'));
const lock: LockFile = read('package-lock.json');
const installed = Object.entries(lock.packages).filter(([path]) => path !== '');

test('names no address of a registry', () => {
  expect(installed.filter(([, {resolved}]) => resolved !== undefined).map(([path]) => path)).toEqual([]);
});

test('has a checksum for every package', () => {
  const unchecked = installed.filter(([path, {integrity}]) => !integrity && isFetched(path));
  expect(unchecked.map(([path]) => path)).toEqual([]);
});

test('dependencies are exact versions, the ones in the lock file', () => {
  const {dependencies, devDependencies, optionalDependencies} = read('package.json');
  const all = {...dependencies, ...devDependencies, ...optionalDependencies};
  for (const [name, version] of Object.entries(all)) {
    expect(version, name).toMatch(/^\d+\.\d+\.\d+(-[\w.]+)?$/);
    expect(lock.packages[`node_modules/${name}`]?.version, name).toBe(version);
  }
});

test('the two files agree', () => {
  const {name, version, dependencies, devDependencies, optionalDependencies, bin} = read('package.json');
  const facts = {name, version, dependencies, devDependencies, optionalDependencies, bin};
  expect(lock.packages['']).toMatchObject(facts);
});

test('packages for other systems are in the lock file, too', () => {
  const linux = ['linux-x64', 'linux-arm64'];
  const systems = {'@lydell/node-pty': [...linux, 'darwin-x64', 'darwin-arm64'], '@koromix/koffi': linux};
  for (const [name, those] of Object.entries(systems))
    for (const system of those) expect(lock.packages).toHaveProperty([`node_modules/${name}-${system}`]);
});

/** A package inside another one's tarball has no separate checksum. */
function isFetched(path: string): boolean {
  return !('inBundle' in (lock.packages[path] ?? {}));
}

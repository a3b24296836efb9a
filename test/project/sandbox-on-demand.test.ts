// A tunnel loads nothing of sandboxes and private networks, neither as a command nor as a call of the library.

import {globSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {expect, test} from 'vitest';
import {ROOT} from './source-files.js';

const code = (file: string) => readFileSync(join(ROOT, file), 'utf8');

/** The files that Node loads before the given ones run. */
function loadedBy(...entries: readonly string[]): Set<string> {
  const found = new Set(entries);
  for (const file of found) {
    for (const [, to = ''] of code(file).matchAll(
      /^(?:import|export)\b[^;]*?(?: from)? ["'](\.[^"']+)["'];$/gm,
    ))
      found.add(join(file, '..', to));
  }
  return found;
}

test('no part of the bundle that `expose` begins with has a module of sandboxes, private networks or the hub', () => {
  // Names stay in the bundle. A journal, a socket or a setting of sandboxes is none of a tunnel's needs either.
  const ofSandboxes =
    /\bclass (?:SandboxHost|SandboxRoster|RemoteSandbox|LocalCluster|JoinedCluster|Fabric|OpenMembership|PeerSession|\w+Backend|Life)\b|\bfunction (?:openSeal|startHub|beginSandbox)\b/;
  const having = globSync('dist/bundle/**/*.js', {cwd: ROOT}).filter((file) => ofSandboxes.test(code(file)));
  expect(having.length).toBeGreaterThan(0);
  const first = loadedBy('dist/bundle/start.js', 'dist/bundle/commands/expose.js');
  expect(having.filter((file) => first.has(file))).toEqual([]);
  expect(first.size).toBeGreaterThan(2);
});

test('the library loads private networks with the first one', () => {
  const early = [...loadedBy('dist/index.js')].filter((file) => file.includes('lib/network/'));
  expect(early).toEqual(['dist/lib/network/library.js']);
});

test('the library loads the owner of a sandbox and the isolation programs with the first sandbox', () => {
  const loaded = loadedBy('dist/index.js');
  const early = [...loaded].filter((file) =>
    /\/(?:host|begin|roster|backends)\.js$|bubblewrap|engine/.test(file),
  );
  expect(early.filter((file) => file.includes('lib/sandbox/'))).toEqual([]);
  expect(loaded).toContain('dist/lib/sandbox/sandbox.js');
});

// The files in deploy/ start the relay with flags that exist.

import {readFileSync} from 'node:fs';
import {expect, test} from 'vitest';
import {ROOT} from './source-files.js';

const manifest = JSON.parse(readFileSync(`${ROOT}/oclif.manifest.json`, 'utf8'));
const known = Object.keys(manifest.commands['relay:start'].flags).map((name) => `--${name}`);

const read = (path: string) => readFileSync(`${ROOT}/${path}`, 'utf8');

test('the systemd unit', () => {
  const [, words = ''] =
    /^ExecStart=.* tunl relay start (.*)$/m.exec(read('deploy/tunl-relay@.service')) ?? [];
  const flags = words.match(/--[a-z-]+/g) ?? [];
  expect(flags.length).toBeGreaterThan(5);
  expect(flags.filter((flag) => !known.includes(flag))).toEqual([]);
});

test('the container, as in docs/own-relay.md', () => {
  expect(read('deploy/Containerfile')).toContain('ENTRYPOINT ["tunl", "relay", "start"]');
  const [, words = ''] = /^ {2}tunl (--domain [\s\S]*?)^```/m.exec(read('docs/own-relay.md')) ?? [];
  const flags = words.match(/--[a-z-]+/g) ?? [];
  expect(flags.length).toBeGreaterThan(5);
  expect(flags.filter((flag) => !known.includes(flag))).toEqual([]);
});

test('the unit gives open connections at least as much time as the relay does', () => {
  const [, seconds] = /^TimeoutStopSec=(\d+)$/m.exec(read('deploy/tunl-relay@.service')) ?? [];
  expect(Number(seconds)).toBeGreaterThan(30);
});

// The modules that a command loads at its start: oclif's parser, but nothing for terminals, certificates or programs.

import {spawnSync} from 'node:child_process';
import {expect, test} from 'vitest';
import {ROOT} from '../../project/source-files.js';

/** The packages of the web terminal: its own process loads them, not tunl's. */
const pages = ['ws', '@xterm/headless', '@xterm/xterm', '@xterm/addon-serialize', '@lydell/node-pty'];

/** Each would add 10 to 65 ms to a start. */
const LATER = ['chalk', 'ora', 'execa', 'uqr', '@peculiar/x509', 'reflect-metadata', ...pages];

const report = `
  import {registerHooks} from 'node:module';
  const seen = [];
  registerHooks({load: (url, context, next) => (seen.push(url), next(url, context))});
  process.on('exit', () => process.stderr.write('LOADED ' + JSON.stringify(seen)));
`;

function loadedBy(words: readonly string[]): string[] {
  const hooks = `data:text/javascript,${encodeURIComponent(report)}`;
  const {stderr} = spawnSync(process.execPath, ['--import', hooks, `${ROOT}/bin/run.js`, ...words], {
    encoding: 'utf8',
    timeout: 30_000,
    env: {...process.env, NO_COLOR: '1', PASSWORD: 'of the test'},
  });
  const loaded = JSON.parse(/LOADED (.*)$/m.exec(stderr)?.[1] ?? '[]') as string[];
  expect(loaded.some((url) => url.endsWith('/dist/lib/cli/main.js'))).toBe(true);
  return loaded;
}

const from = (loaded: readonly string[], names: readonly string[]) =>
  loaded.filter((url) => names.some((name) => url.includes(`/node_modules/${name}/`)));

test('terminal: another process loads the page and the screen', () => {
  const loaded = loadedBy(['terminal', '--relay', 'https://127.0.0.1:1', '--', 'no-such-command']);
  expect(loaded.some((url) => url.endsWith('/dist/lib/launch/programs/terminal.js'))).toBe(true);
  expect(from(loaded, pages)).toEqual([]);
});

test.each([
  ['expose', '8000', '--tcp', '--relay', 'https://127.0.0.1:1'],
  ['relay', 'start', '--listen', '127.0.0.1:1', '--token-file', '/nonexistent'],
])('%s %s', (...words) => {
  const loaded = loadedBy(words);
  expect(from(loaded, LATER)).toEqual([]);
  expect(loaded.filter((url) => url.includes('/dist/lib/launch/'))).toEqual([]);
});

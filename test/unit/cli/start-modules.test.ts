// The code that a command loads at its start: few files, oclif's parser, but nothing for terminals, certificates or programs.

import {spawnSync} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {expect, test} from 'vitest';
import {ROOT} from '../../project/source-files.js';

/** The packages of the web terminal: its own process loads them, not tunl's. */
const pages = ['ws', '@xterm/headless', '@xterm/xterm', '@xterm/addon-serialize', '@lydell/node-pty'];

/** Each would add 10 to 65 ms to a start. */
const LATER = [...['chalk', 'ora', 'execa', 'uqr', 'jose', 'oauth4webapi'], ...pages];

/** Parts of oclif and their packages, for help and plugins. A running command never needs them. */
const NEVER = ['ejs', 'minimatch', 'tinyglobby', 'lilconfig', 'cli-spinners'];

/** Modules of Node that take 0.6 to 7 MB each, most of them for a moment that does not come in every process. */
const NODE_LATER = [
  ...['child_process', 'dgram', 'dns', 'dns/promises', 'fs/promises', 'http', 'http2', 'https', 'perf_hooks'],
  ...[
    'internal/crypto/webcrypto',
    'internal/deps/undici/undici',
    'readline',
    'sqlite',
    'worker_threads',
    'zlib',
  ],
];

const report = `
  import {registerHooks} from 'node:module';
  const seen = [];
  registerHooks({load: (url, context, next) => (seen.push(url), next(url, context))});
  const before = new Set(process.moduleLoadList);
  process.on('exit', () => {
    const builtins = process.moduleLoadList.filter((name) => !before.has(name));
    process.stderr.write('LOADED ' + JSON.stringify([seen, builtins]));
  });
`;

interface Loaded {
  files: readonly string[];
  /** Modules by their paths in the package; those of the bundle by the comments in it. */
  modules: readonly string[];
  /** Modules of Node that the program loads. */
  builtins: readonly string[];
}

function loadedBy(words: readonly string[]): Loaded {
  const hooks = `data:text/javascript,${encodeURIComponent(report)}`;
  const {stderr} = spawnSync(process.execPath, ['--import', hooks, `${ROOT}/bin/run.js`, ...words], {
    encoding: 'utf8',
    timeout: 30_000,
    env: {...process.env, NO_COLOR: '1', PASSWORD: 'of the test'},
  });
  const [urls, builtins] = JSON.parse(/LOADED (.*)$/m.exec(stderr)?.[1] ?? '[[], []]') as [
    string[],
    string[],
  ];
  const files = urls.filter((url) => url.startsWith('file:')).map((url) => fileURLToPath(url));
  expect(files.some((file) => file.endsWith('/dist/bundle/start.js'))).toBe(true);
  const modules = files.flatMap((file) =>
    file.includes('/dist/bundle/')
      ? [...readFileSync(file, 'utf8').matchAll(/^\/\/ (?:\.\.\/)*((?:dist|node_modules)\/\S+)$/gm)].map(
          ([, module = '']) => module,
        )
      : [file.slice(file.search(/(?:dist|node_modules|bin)\//))],
  );
  const names = builtins.map((name) => name.replace('NativeModule ', ''));
  return {files, modules, builtins: names};
}

const from = ({modules}: Loaded, names: readonly string[]) =>
  modules.filter((module) => names.some((name) => module.startsWith(`node_modules/${name}/`)));

test('each file of the bundle can be loaded, also those that only a terminal needs', () => {
  const code = `import {globSync} from 'node:fs';
    for (const file of globSync('**/*.js', {cwd: ${JSON.stringify(`${ROOT}/dist/bundle`)}}))
      await import(${JSON.stringify(`${ROOT}/dist/bundle/`)} + file).catch((error) => console.log(file, error.message));`;
  const all = spawnSync(process.execPath, ['--input-type=module', '-e', code], {encoding: 'utf8'});
  expect(all).toMatchObject({status: 0, stdout: '', stderr: ''});
});

test('terminal: another process loads the page and the screen', () => {
  const loaded = loadedBy(['terminal', '--relay', 'https://127.0.0.1:1', '--', 'no-such-command']);
  expect(loaded.modules).toContain('dist/lib/launch/programs/terminal.js');
  expect(from(loaded, pages)).toEqual([]);
});

test.each([
  ['expose', '8000', '--tcp', '--relay', 'https://127.0.0.1:1'],
  ['relay', 'start', '--listen', '127.0.0.1:1', '--token-file', '/nonexistent'],
])('%s %s', (...words) => {
  const loaded = loadedBy(words);
  expect(loaded.modules).toContain('node_modules/@oclif/core/lib/parser/parse.js');
  expect(from(loaded, [...LATER, ...NEVER])).toEqual([]);
  expect(loaded.modules.filter((module) => module.startsWith('dist/lib/launch/'))).toEqual([]);
  expect(loaded.builtins.filter((name) => NODE_LATER.includes(name))).toEqual([]);
  expect(loaded.builtins).toContain('tls');
  // bin/run.js, the entry, the command, and the chunks that they share.
  expect(loaded.files.length).toBeLessThanOrEqual(8);
});

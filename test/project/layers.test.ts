// Imports go downwards only. Each forbidden edge is listed here with its reason.

import {readFileSync} from 'node:fs';
import {isBuiltin} from 'node:module';
import {describe, expect, test} from 'vitest';
import {layerOf, ROOT, type SourceFile, sourceFiles, targetOf} from './source-files.js';

/** The layer of each folder: a file may import its own folder and lower layers. */
const FLOORS: Readonly<Record<string, number>> = {
  'lib/core': 0,
  'lib/protocol': 1,
  'lib/net': 1,
  'lib/mux': 2,
  'lib/carrier': 3,
  'lib/bytes': 3,
  'lib/agent': 4,
  'lib/relay': 4,
  'lib/launch': 4,
  'lib/seal': 4,
  // Joins agent and relay (`forward` with its embedded relay), and tunnels with programs.
  lib: 5,
  'lib/sandbox': 6,
  'lib/egress': 6,
  // A command of a network may leave by an egress.
  'lib/network': 7,
  'lib/hub': 7,
  'lib/cluster': 8,
  'lib/cli': 9,
  commands: 10,
  index: 10,
};

interface Forbidden {
  from: readonly string[];
  to: readonly string[];
  because: string;
}

const allBut = (...layers: string[]) => Object.keys(FLOORS).filter((layer) => !layers.includes(layer));

const FORBIDDEN: readonly Forbidden[] = [
  {
    from: ['lib/agent'],
    to: ['lib/relay'],
    because:
      'they run on two machines: common code belongs to lower layers, and code that joins them to a higher one',
  },
  {from: ['lib/relay'], to: ['lib/agent'], because: 'they are two machines: see above'},
  {
    from: ['lib/cli', 'commands'],
    to: ['lib/mux', 'lib/protocol', 'lib/carrier', 'ws'],
    because: 'a command is a view of the library: agent and relay say what it needs',
  },
  {
    from: ['lib/mux', 'lib/protocol'],
    to: ['ws', 'node:net', 'node:tls', 'node:http', 'node:https', 'node:timers', 'node:timers/promises'],
    because: 'they are pure: a session takes any carrier, and time comes in as a Clock',
  },
  {
    from: allBut('lib/cli', 'commands'),
    to: ['@oclif/core', 'chalk', 'ora'],
    because: 'the library knows no command line and no terminal',
  },
  {
    from: allBut('lib/launch'),
    to: ['ws', '@xterm/headless', '@xterm/addon-serialize', '@lydell/node-pty'],
    because: 'they are for the web terminal’s process; the carrier reads and writes its frames by itself',
  },
  {
    from: allBut('lib/launch', 'lib/relay', 'lib/sandbox', 'lib/seal'),
    to: ['node:child_process', 'execa'],
    because:
      'local programs are started, watched and stopped in one place; a relay has workers, sandboxes have an init, and a seal has its namespace',
  },
];

/** Patterns that may appear only in the allowed files of the library. */
const WORDS: readonly {pattern: RegExp; because: string; allowed: (path: string) => boolean}[] = [
  {pattern: /\bconsole\s*\./, because: 'the library writes nowhere by itself', allowed: () => false},
  {
    pattern: /\bprocess\.exit\b/,
    because: 'who embeds the library owns the process',
    allowed: (path) =>
      [
        'cli/whole-process.ts',
        'cli/signals.ts',
        'relay/workers/main.ts',
        'sandbox/supervisor/main.ts',
        'sandbox/init/main.ts',
      ].includes(path.slice('src/lib/'.length)),
  },
  {
    pattern: /from 'execa'|from 'node:child_process'/,
    because: 'local programs are started in one place, and the workers of a relay in another',
    allowed: (path) =>
      path.startsWith('src/lib/launch/') ||
      path.startsWith('src/lib/sandbox/') ||
      path.startsWith('src/lib/seal/') ||
      ['relay/workers/fork.ts', 'relay/workers/worker-process.ts'].includes(path.slice('src/lib/'.length)),
  },
  {
    pattern: /\bprocess\.stdout\b/,
    because: 'stdout is a contract, kept in one file',
    allowed: (path) => path === 'src/lib/cli/stdout.ts',
  },
  {
    pattern: /\bprocess\.stderr\b/,
    because: 'what people read is written by the command line',
    allowed: (path) => path.startsWith('src/lib/cli/'),
  },
  {
    pattern: /\bset(Timeout|Interval)\s*\(/,
    because: 'time comes in as a Clock',
    allowed: (path) => !/^src\/lib\/(mux|protocol)\//.test(path),
  },
  {
    pattern: /\bDate\.now\s*\(/,
    because: 'time comes in as a Clock',
    allowed: (path) => !/^src\/lib\/(mux|protocol)\//.test(path),
  },
  {
    pattern: /\\p\{C[cf]\}/,
    because: 'one place makes text from outside safe to print',
    // One of these measures text, and the other writes to its own terminal.
    allowed: (path) =>
      ['core/one-line.ts', 'cli/cells.ts', 'launch/web-terminal/screen.ts'].includes(path.slice(8)),
  },
  {
    pattern: /\b(Async)?DisposableStack\b/,
    because: 'the oldest Node that package.json allows has none',
    allowed: () => false,
  },
];

/** Soft cap. */
const LONG = 300;
/** A longer file than this needs a reason here. */
const TOO_LONG = 350;

/** Why a file is long. A file that is split or renamed leaves this list. */
const REASONS: Readonly<Record<string, string>> = {
  'src/lib/core/errors.ts': 'one table: a row for each error code',
  'src/lib/mux/stream.ts': 'one state machine: both directions share state, credit and the ways to end',
  'src/lib/mux/link.ts': 'what belongs to one carrier: records in and out, acks, liveness, one way to end',
  'src/lib/mux/sender.ts': 'the order of frames is decided in one place: lanes, pace and flush',
};

const files = sourceFiles();
const edges = files.flatMap((file) =>
  file.imports.map(({specifier}) => ({file, to: targetOf(file.path, specifier), specifier})),
);

describe('layers', () => {
  test('every folder under src has a layer, and every layer a folder', () => {
    const folders = new Set(files.map((file) => layerOf(file.path)));
    expect([...folders].sort()).toEqual(Object.keys(FLOORS).sort());
  });

  test('docs/architecture.md has the same layers', () => {
    const doc = readFileSync(`${ROOT}/docs/architecture.md`, 'utf8');
    const lines = doc.matchAll(/^src\/(\S+?)(?:\/|\/\*\.ts|\.ts)\s+L(\d+)\s/gm);
    expect(Object.fromEntries([...lines].map(([, layer, floor]) => [layer, Number(floor)]))).toEqual(FLOORS);
  });

  test('each forbidden name exists: a layer, a built-in, or an installed package', () => {
    const {dependencies, devDependencies, optionalDependencies} = JSON.parse(
      readFileSync(`${ROOT}/package.json`, 'utf8'),
    );
    const packages = {...dependencies, ...devDependencies, ...optionalDependencies};
    const exists = (name: string) => name in FLOORS || isBuiltin(name) || name in packages;
    const named = FORBIDDEN.flatMap(({from, to}) => [...from, ...to]);
    expect(named.filter((name) => !exists(name))).toEqual([]);
  });

  test('imports go downwards', () => {
    const upwards = edges.filter(({file, to}) => {
      const from = layerOf(file.path);
      return to in FLOORS && to !== from && (FLOORS[to] ?? 0) >= (FLOORS[from] ?? 0);
    });
    expect(upwards.map(({file, specifier}) => `${file.path} → ${specifier}`)).toEqual([]);
  });

  test.each(FORBIDDEN)('$to: $because', ({from, to}) => {
    const wrong = edges.filter(
      ({file, to: target}) => from.includes(layerOf(file.path)) && to.includes(target),
    );
    expect(wrong.map(({file, specifier}) => `${file.path} → ${specifier}`)).toEqual([]);
  });

  test('commands do not import one another', () => {
    const wrong = edges.filter(({file, to}) => layerOf(file.path) === 'commands' && to === 'commands');
    expect(wrong.map(({file, specifier}) => `${file.path} → ${specifier}`)).toEqual([]);
  });

  test('imports have no cycles', () => {
    expect(circles(files)).toEqual([]);
  });
});

describe('words', () => {
  test.each(WORDS)('$pattern: $because', ({pattern, allowed}) => {
    const wrong = files.filter((file) => pattern.test(file.code) && !allowed(file.path));
    expect(wrong.map(({path}) => path)).toEqual([]);
  });

  test('built-ins that are expensive to import are not imported', () => {
    const dear = ['node:http', 'node:tls', 'node:crypto'];
    const wrong = files.flatMap(({path, imports}) =>
      imports
        .filter(({specifier, typeOnly}) => dear.includes(specifier) && !typeOnly)
        .map(({specifier}) => `${path} → ${specifier}`)
        .filter(() => !path.startsWith('src/lib/launch/')),
    );
    expect(wrong).toEqual([]);
  });

  test('built-ins are imported as node:', () => {
    const wrong = edges.filter(({to}) =>
      /^(fs|path|net|tls|http|https|crypto|os|url|util|events|stream|zlib)$/.test(to),
    );
    expect(wrong.map(({file, specifier}) => `${file.path} → ${specifier}`)).toEqual([]);
  });
});

describe('files', () => {
  test('every folder name describes its content', () => {
    const folders = files.flatMap((file) => file.path.split('/').slice(0, -1));
    expect(folders.filter((name) => /^(util|utils|common|helpers?|shared|misc)$/.test(name))).toEqual([]);
  });

  test('every file begins with a sentence about its purpose', () => {
    const silent = files.filter(({text}) => !/^(#!.*\n)?\/\/ \S/.test(text));
    expect(silent.map(({path}) => path)).toEqual([]);
  });

  test('a command is a view: at most 60 lines', () => {
    const long = files.filter((file) => layerOf(file.path) === 'commands' && lines(file) > 60);
    expect(long.map((file) => `${file.path}: ${lines(file)}`)).toEqual([]);
  });

  test('the mean file has at most 150 lines', () => {
    const mean = files.reduce((sum, file) => sum + lines(file), 0) / files.length;
    const long = files.filter((file) => lines(file) > LONG).map((file) => `${file.path} ${lines(file)}`);
    console.log(
      `files: ${files.length}, mean ${Math.round(mean)} lines; over ${LONG}: ${long.join(', ') || 'none'}`,
    );
    expect(mean).toBeLessThanOrEqual(150);
  });

  test(`a file over ${TOO_LONG} lines has a recorded reason`, () => {
    const long = files.filter((file) => lines(file) > TOO_LONG && !(file.path in REASONS));
    expect(long.map((file) => `${file.path} ${lines(file)}`)).toEqual([]);
  });

  test('a reason belongs to a file that exists', () => {
    const paths = new Set(files.map((file) => file.path));
    expect(Object.keys(REASONS).filter((path) => !paths.has(path))).toEqual([]);
  });
});

function lines({text}: SourceFile): number {
  return text.split('\n').length - 1;
}

/** Cycles of imports at run time; imports of types alone do not count. */
function circles(all: readonly SourceFile[]): string[] {
  const known = new Set(all.map((file) => file.path));
  const graph = new Map(
    all.map((file) => [
      file.path,
      file.imports
        .filter(({specifier, typeOnly}) => specifier.startsWith('.') && !typeOnly)
        .map(({specifier}) =>
          new URL(specifier.replace(/\.js$/, '.ts'), `file:///${file.path}`).pathname.slice(1),
        )
        .filter((path) => known.has(path)),
    ]),
  );
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, way: readonly string[]) => {
    if (way.includes(path)) found.push([...way.slice(way.indexOf(path)), path].join(' → '));
    else if (!done.has(path)) {
      for (const next of graph.get(path) ?? []) visit(next, [...way, path]);
      done.add(path);
    }
  };
  for (const path of graph.keys()) visit(path, []);
  return found;
}

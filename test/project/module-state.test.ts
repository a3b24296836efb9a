// State belongs to an object with an owner. State of a module is shared by all relays and agents of a process.

import {expect, test} from 'vitest';
import {sourceFiles} from './source-files.js';

/** State that may be shared, and the reason. Remove a name here when it is removed from the source. */
const SHARED: Readonly<Record<string, {names: readonly string[]; because: string}>> = {
  'src/lib/forward.ts': {
    names: ['isStateTold', 'pool', 'embeddedRelays'],
    because: 'all tunnels of a process with one relay and one state folder share a link; the key says both',
  },
  'src/lib/agent/network-watch.ts': {
    names: ['shared'],
    because:
      'all agents of a process are on one machine, and a look at its addresses takes as long as a ping',
  },
  'src/lib/core/usable-state.ts': {
    names: ['temporary'],
    because: 'one temporary folder for a process, which removes it at its end',
  },
  'src/lib/carrier/trust.ts': {
    names: ['last'],
    because: 'a cache of one value, which depends on nothing but its key',
  },
  'src/lib/core/collect.ts': {
    names: ['wanted', 'collect', 'since'],
    because: 'a process has one garbage collector',
  },
  'src/lib/net/own-buffers.ts': {
    names: ['shared', 'properties'],
    because: 'reading is synchronous, so all sockets share one buffer, and Node does not change in a process',
  },
  'src/lib/seal/own-processes.ts': {
    names: ['waiting'],
    because: 'it belongs to processes, which may have been started by any caller',
  },
  'src/lib/cli/stdout.ts': {
    names: ['gone', 'ended', 'failure', 'listeners', 'limited'],
    because: 'a process has one standard output',
  },
  'src/lib/cli/stderr.ts': {
    names: ['draining'],
    because: 'a process has one standard error',
  },
  'src/lib/cli/base-command.ts': {
    names: ['passesWords', 'dashesOptional', 'sharesStreams', 'spellings'],
    because: 'each command’s class says it of itself, as with the static fields of oclif',
  },
  'src/lib/network/member-streams.ts': {
    names: ['ends'],
    because:
      'it belongs to the links, which memberships of several callers share: a link gives each kind of stream to one handler',
  },
  'src/lib/launch/web-terminal/files.ts': {
    names: ['kept'],
    because: 'files of the package, read once; the web terminal is a process of its own',
  },
};

/** Whether a value can be changed after its creation, and its type does not make it read-only. */
function isMutable(type: string, value: string): boolean {
  if (/^:\s*(?:Readonly|readonly )/.test(type)) return false;
  if (/^new (?:RegExp|URL|Error|Intl\.\w+|TextEncoder|TextDecoder)\b/.test(value)) return false;
  // A number or an element that is read from it: `new Uint8Array(…)[0] === 1`
  if (/^new .*\)\[\d+\]/.test(value)) return false;
  return /^(?:new |\[\];|\{\};|(?:create(?!Require)|open|start)[A-Z]\w*\()/.test(value);
}

/** Finds declarations at the start of a line, and static fields of classes: the formatter gives both a fixed indentation. */
function stateOf(code: string): string[] {
  const variables = [...code.matchAll(/^(?:export )?(?:let|var) (\w+)/gm)].map(([, name = '']) => name);
  const constants = [...code.matchAll(/^(?:export )?const (\w+)(: [^=]+?)? =\s*(.*)/gm)]
    .filter(([, , type = '', value = '']) => isMutable(type, value))
    .map(([, name = '']) => name);
  const statics = [...code.matchAll(/^ {2}static (readonly )?(#?\w+)(: [^=]+?)? =\s*(.*)/gm)]
    .filter(([, isReadonly, , type = '', value = '']) => isReadonly === undefined || isMutable(type, value))
    .map(([, , name = '']) => name);
  return [...variables, ...constants, ...statics];
}

test.each<[string, string[]]>([
  ['let count = 0;', ['count']],
  ['const all = new Map<string, number>();', ['all']],
  ['const all: Set<string> = new Set();', ['all']],
  ['const all: string[] = [];', ['all']],
  ['const server = new Server().on("x", y);', ['server']],
  ['const server = createServer();', ['server']],
  ['const all =\n  new Map<string, Set<string>>();', ['all']],
  [
    'class A {\n  static all = 1;\n  static readonly b = new Set();\n  readonly c = new Set();\n}',
    ['all', 'b'],
  ],
  ['const KNOWN: ReadonlySet<string> = new Set(["a"]);', []],
  ['const LIST: readonly string[] = [];', []],
  ['const TABLE = {a: 1} as const;', []],
  ['const pattern = /a/;\nconst many = 10 * 1024;', []],
  ['function f() {\n  let count = 0;\n  const all = new Map();\n}', []],
])('%s', (text, names) => {
  expect(stateOf(text)).toEqual(names);
});

test('each state of a module is listed here with a reason, and each listed name exists', () => {
  const found = Object.fromEntries(
    sourceFiles()
      .map(({path, code}) => [path, stateOf(code)] as const)
      .filter(([, names]) => names.length > 0),
  );
  const recorded = Object.entries(SHARED).map(([path, {names}]) => [path, names]);
  expect(found).toEqual(Object.fromEntries(recorded));
});

// Joins the compiled modules of dist/ and what they need of oclif into few files, in dist/bundle/: Node takes longer to find
// and link 280 modules than to run them. Modules that most commands do not need stay in files of their own, which are loaded
// on demand. The bundle is not minified, and each part of it names its module, so that stacks can be read.
//
// dist/index.js, the library, and all other modules stay as they are. `node scripts/bundle.js [folder of the package]`
import {globSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {basename, join, relative} from 'node:path';
import {fileURLToPath} from 'node:url';
import {rolldown} from 'rolldown';

const root = process.argv[2] ?? fileURLToPath(new URL('..', import.meta.url));
const oclif = createRequire(join(root, 'package.json')).resolve('@oclif/core/command');
const require = createRequire(oclif);

/** Packages that stay outside: they have files of their own, or are large and rarely needed. */
const OUTSIDE = [/^@koromix\/koffi-/, '@lydell/node-pty', 'execa'];

/**
 * The modules that a running command never reaches, although oclif's parser imports them: help, plugins, spinners, coloured
 * errors. If one is reached after all, it is loaded from node_modules. Names are as in oclif's own files.
 */
const LATE = new Map(
  ['./config', './help', './help/util', './ux', 'clean-stack', 'indent-string', 'wrap-ansi'].map((name) => [
    require.resolve(name),
    name,
  ]),
);

const late = {
  name: 'late',
  resolveId: (id) => (id === 'tunl:late' ? id : null),
  load(id) {
    if (id === 'tunl:late')
      return `import {createRequire} from 'node:module';
        const oclif = createRequire(import.meta.url).resolve('@oclif/core/command');
        export const late = createRequire(oclif);`;
    if (!LATE.has(id)) return null;
    const real = `require('tunl:late').late(${JSON.stringify(LATE.get(id))})`;
    const loaded = require(id);
    if (typeof loaded === 'function') return `module.exports = (...args) => ${real}(...args);`;
    const names = Object.keys(loaded).filter((name) => name !== '__esModule');
    return `Object.defineProperty(exports, '__esModule', {value: true});
      for (const name of ${JSON.stringify(names)})
        Object.defineProperty(exports, name, {enumerable: true, get: () => ${real}[name]});`;
  },
};

/**
 * Modules of Node that a start does not need, 0.6 to 1.3 MB each. They are loaded at the first call of one of their functions.
 */
const LATE_BUILTINS = new Set(['node:dgram', 'node:dns', 'node:dns/promises', 'node:https', 'node:readline']);

/** Stands for such a module: each property is read when it is used. @param what the pattern to which it is assigned */
function lateBuiltin(what, from) {
  const load = `globalThis.process.getBuiltinModule(${JSON.stringify(from)})`;
  if (!what.startsWith('{')) return `const ${what} = new Proxy({}, {get: (_, name) => ${load}[name]});`;
  const names = what
    .slice(1, -1)
    .split(',')
    .map((one) => one.split(':').map((word) => word.trim()));
  return names
    .map(([name, local = name]) => {
      const value = process.getBuiltinModule(from)[name];
      if (typeof value === 'function' && /^[a-z]/.test(name))
        return `const ${local} = (...options) => ${load}.${name}(...options);`;
      if (typeof value === 'object')
        return `const ${local} = new Proxy({}, {get: (_, name) => ${load}.${name}[name]});`;
      throw new Error(`${name} of ${from} is neither a function nor an object`);
    })
    .join('\n');
}

/** The same for modules of packages, which are CommonJS. */
function withLateRequires(code) {
  return code.replace(
    /^(\s*)const (\w+) = __require\("(?:node:)?([\w/]+)"\);$/gm,
    (line, indent, name, from) =>
      LATE_BUILTINS.has(`node:${from}`) ? `${indent}${lateBuiltin(name, `node:${from}`)}` : line,
  );
}

/** Takes `dist/lib/core/node-fs.js` for `node:fs/promises`. */
const promisesOfFs = {
  name: 'promises of fs',
  resolveId: (id) => (/^(node:)?fs\/promises$/.test(id) ? join(root, 'dist/lib/core/node-fs.js') : null),
};

/**
 * An import of a module of Node reads every export, and some exports load further modules. A module may call its import
 * `process`, so the global object is named.
 */
function withoutImports(code) {
  return code.replace(/^import (.+) from ("node:[^"]+");$/gm, (_, what, from) => {
    const [, all, one, some] = /^(?:\* as ([\w$]+)|([\w$]+)?(?:, )?(\{.*\})?)$/.exec(what) ?? [];
    const names = [all ?? one, some?.replace(/ as /g, ': ')].filter(Boolean);
    if (names.length === 0) throw new Error(`an import that is not understood: ${what}`);
    if (LATE_BUILTINS.has(from.slice(1, -1)))
      return names.map((name) => lateBuiltin(name, from.slice(1, -1))).join('\n');
    return names.map((name) => `const ${name} = globalThis.process.getBuiltinModule(${from});`).join('\n');
  });
}

/** V8 keeps a text with one other character in twice the memory. */
function inAscii(code) {
  if (/String\.raw`[^`]*[^\0-\x7f]/.test(code)) throw new Error('an escape would change a raw text');
  return code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

const lean = {
  name: 'lean',
  generateBundle(_, files) {
    for (const file of Object.values(files)) file.code = inAscii(withLateRequires(withoutImports(file.code)));
  },
};

const commands = globSync('dist/commands/**/*.js', {cwd: root});
const input = {
  start: 'dist/lib/cli/start.js',
  complete: 'dist/lib/cli/completion/answer.js',
  'workers/main': 'dist/lib/relay/workers/main.js',
  'sandbox/supervisor': 'dist/lib/sandbox/supervisor/main.js',
  'seal/doors': 'dist/lib/seal/doors.js',
  'seal/dialler': 'dist/lib/seal/dialler.js',
  ...Object.fromEntries(commands.map((file) => [relative('dist', file).replace(/\.js$/, ''), file])),
};
const options = {
  cwd: root,
  platform: 'node',
  external: [/^node:(?!fs\/promises$)/, ...OUTSIDE],
  plugins: [promisesOfFs, late, lean],
  // Its advice is about modules that are loaded on demand in one place only.
  onLog: (level, log, next) => log.code !== 'INEFFECTIVE_DYNAMIC_IMPORT' && next(level, log),
};

/** The modules that the entries load before they run. */
async function loadedBy(...entries) {
  const bundle = await rolldown({...options, input: entries});
  const {output} = await bundle.generate();
  await bundle.close();
  const chunks = new Map(output.map((chunk) => [chunk.fileName, chunk]));
  const found = new Set(output.filter(({isEntry}) => isEntry));
  for (const chunk of found) for (const file of chunk.imports) found.add(chunks.get(file) ?? chunk);
  return new Set([...found].flatMap(({moduleIds}) => moduleIds));
}

const [tunnel, relay] = await Promise.all([
  loadedBy(input.start, input['commands/expose']),
  loadedBy(input.start, input['commands/relay/start'], 'dist/lib/relay/start.js'),
]);
rmSync(join(root, 'dist/bundle'), {recursive: true, force: true});
const bundle = await rolldown({...options, input});
const {output} = await bundle.write({
  dir: join(root, 'dist/bundle'),
  entryFileNames: '[name].js',
  chunkFileNames: 'chunks/[name]-[hash].js',
  comments: false,
  codeSplitting: {
    groups: [
      {name: 'base', test: (id) => tunnel.has(id) && relay.has(id)},
      {name: 'tunnel', test: (id) => tunnel.has(id)},
      {name: 'relay', test: (id) => relay.has(id)},
    ],
  },
});
await bundle.close();

// The init of a sandbox is one file, because it runs where nothing else of the package is visible. It is CommonJS: Node starts
// that sooner, and needs no package.json beside it.
const init = await rolldown({...options, input: 'dist/lib/sandbox/init/main.js'});
const {output: initOutput} = await init.write({
  file: join(root, 'dist/bundle/sandbox/init.cjs'),
  format: 'cjs',
  comments: false,
  codeSplitting: false,
});
await init.close();
if (initOutput.length !== 1 || initOutput[0].imports.some((name) => !name.startsWith('node:')))
  throw new Error(
    `the sandbox's init is not one file: ${initOutput.map(({fileName}) => fileName).join(', ')}`,
  );

// The helper for UDP of a seal is one small file: the modules that it shares with the relay would load the relay.
const tun = await rolldown({...options, input: 'dist/lib/seal/udp/tun.js'});
await tun.write({file: join(root, 'dist/bundle/seal/tun.js'), comments: false, codeSplitting: false});
await tun.close();

const modules = output.flatMap(({moduleIds = []}) => moduleIds);
const missing = [...LATE.keys()].filter((id) => !modules.includes(id));
if (missing.length > 0) throw new Error(`oclif's parser does not import ${missing.join(', ')}`);
writeFileSync(join(root, 'dist/bundle/LICENSES.txt'), licensesOf(modules));

/** The licences of the packages whose code is in the bundle. */
function licensesOf(ids) {
  const folders = ids.flatMap((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0] ?? []);
  return [...new Set(folders)]
    .sort()
    .map((folder) => {
      const {name, version, license} = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
      const [file] = globSync('{licen[cs]e,LICEN[CS]E,License}{,.*,-*}', {cwd: folder});
      const text =
        file === undefined ? '' : `\n${readFileSync(join(folder, basename(file)), 'utf8').trim()}\n`;
      return `${name} ${version}: ${license}\n${text}`;
    })
    .join('\n----\n\n');
}

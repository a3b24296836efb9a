// Paths and links in the documentation lead to existing files, and comments name existing documents.

import {existsSync, globSync, readFileSync} from 'node:fs';
import {dirname, join, normalize} from 'node:path';
import {describe, expect, test} from 'vitest';
import {RESERVED} from '../../src/lib/protocol/names.js';
import {ROOT, sourceFiles} from './source-files.js';

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const exists = (path: string) => existsSync(join(ROOT, path));

const documents = globSync(['*.md', 'docs/**/*.md', 'bench/**/*.md', '.github/**/*.md'], {cwd: ROOT}).sort();
/** Names of all files that people write and commit. */
const names = new Set(
  globSync(['*', '{.ci,.github,assets,bench,bin,deploy,docs,scripts,src,test}/**/*'], {cwd: ROOT}).map(
    (path) => path.split('/').at(-1) ?? '',
  ),
);
/** Folders of the library, which documents name without `src/lib/`. */
const rooms = globSync('src/lib/*/', {cwd: ROOT}).map((path) => path.split('/').at(-1) ?? '');

/** `src/lib/mux/`, `docs/errors.md`, `relay/relay.ts`. Files that `npm run build` makes are left out. */
function pathsIn(text: string): string[] {
  const tops = [
    '.ci',
    '.github',
    'assets',
    'bench',
    'bin',
    'deploy',
    'docs',
    'scripts',
    'src',
    'test',
    ...rooms,
  ];
  const pattern = new RegExp(
    `(?<![\\w./~-])(?:${tops.map((top) => top.replace('.', '\\.')).join('|')})/[\\w./-]*`,
    'g',
  );
  return [...text.matchAll(pattern)].map(([path]) => path.replace(/[./]+$/, ''));
}

/** A path that begins with the name of such a folder is checked when it names a source file: `relay/DOMAIN` is a state folder. */
function isGone(path: string): boolean {
  const [top = ''] = path.split('/');
  if (!rooms.includes(top)) return !exists(path);
  return path.endsWith('.ts') && !exists(`src/lib/${path}`);
}

/** The anchor of a heading, by GitHub's rules. */
const anchor = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(' ', '-');
const anchorsOf = (path: string) =>
  [...read(path).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchor(heading));

describe.each(documents)('%s', (path) => {
  const text = read(path);

  test('names only files and folders that exist', () => {
    const prose = text.replaceAll(/\]\([^)]*\)/g, ']').replaceAll(/https?:\/\/\S+/g, '');
    const gone = pathsIn(prose).filter((name) => isGone(name) && !exists(join(dirname(path), name)));
    const files = [...text.matchAll(/`([\w-]+\.(?:ts|js|sh|py))`/g)].map(([, name = '']) => name);
    expect([...gone, ...files.filter((name) => !names.has(name))]).toEqual([]);
  });

  test('links to files and headings that exist', () => {
    const links = [...text.matchAll(/\]\((?!https?:|mailto:)([^)\s]+)\)/g)].map(([, link = '']) => link);
    const broken = links.filter((link) => {
      const [file = '', heading] = link.split('#');
      const target = file === '' ? path : normalize(join(dirname(path), file));
      return !exists(target) || (heading !== undefined && !anchorsOf(target).includes(heading));
    });
    expect(broken).toEqual([]);
  });
});

test('every decision has a unique number', () => {
  const numbers = globSync('*', {cwd: join(ROOT, 'docs/decisions')}).map((name) => name.slice(0, 5));
  expect(numbers.filter((number) => !/^\d{4}-$/.test(number))).toEqual([]);
  expect(numbers.filter((number, index) => numbers.indexOf(number) !== index)).toEqual([]);
});

test.each(['src', 'test', 'bench'])('comments in %s name documents that exist', (folder) => {
  const wrong = sourceFiles(folder).flatMap(({path, text}) =>
    [...text.matchAll(/(?<![\w/])docs\/[\w./-]+\.md/g)]
      .filter(([name]) => !exists(name))
      .map(([name]) => `${path}: ${name}`),
  );
  expect(wrong).toEqual([]);
});

test('docs/own-relay.md lists the reserved names', () => {
  const [, block = ''] =
    /no agent can bind these[^`]*`NAME_RESERVED`\):\n\n```\n([^`]*)```/i.exec(read('docs/own-relay.md')) ??
    [];
  expect(block.trim().split(/\s+/)).toEqual([...RESERVED]);
});

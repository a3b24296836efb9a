// The sources as text, with the imports and the layer of each file.

import {readdirSync, readFileSync} from 'node:fs';
import {posix} from 'node:path';
import {fileURLToPath} from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

export interface SourceFile {
  /** From the root of the project, with forward slashes: `src/lib/mux/session.ts`. */
  path: string;
  text: string;
  /** The text without comments. */
  code: string;
  imports: {specifier: string; typeOnly: boolean}[];
}

export function sourceFiles(under = 'src'): SourceFile[] {
  return readdirSync(`${ROOT}/${under}`, {recursive: true, encoding: 'utf8'})
    .map((name) => posix.join(under, name.replaceAll('\\', '/')))
    .filter((path) => path.endsWith('.ts'))
    .sort()
    .map((path) => {
      const text = readFileSync(`${ROOT}/${path}`, 'utf8');
      const code = withoutComments(text);
      return {path, text, code, imports: importsOf(code)};
    });
}

/** The layer of a file: `lib/mux`, `lib` for files directly in lib, `commands`, or `index`. */
export function layerOf(path: string): string {
  const parts = path.replace(/^src\//, '').split('/');
  if (parts.length === 1) return 'index';
  const [top = '', folder = ''] = parts;
  return top === 'lib' && parts.length > 2 ? `lib/${folder}` : top;
}

/** The target of an import in `from`: a layer for a file of the project, else the name of the package or built-in. */
export function targetOf(from: string, specifier: string): string {
  if (specifier.startsWith('.')) return layerOf(posix.join(posix.dirname(from), specifier));
  const parts = specifier.split('/');
  return specifier.startsWith('@')
    ? parts.slice(0, 2).join('/')
    : specifier.startsWith('node:')
      ? specifier
      : (parts[0] ?? '');
}

function importsOf(code: string): SourceFile['imports'] {
  const statements = code.matchAll(/^\s*(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm);
  const calls = code.matchAll(/\bimport\(\s*'([^']+)'\s*\)/g);
  return [
    ...[...statements].map(([, type, specifier = '']) => ({specifier, typeOnly: type !== undefined})),
    ...[...calls].map(([, specifier = '']) => ({specifier, typeOnly: false})),
  ];
}

/** Sufficient for this code: the only strings that look like comments are URLs, whose `//` follows a colon. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1');
}

// The two paths of `tunl sandbox cp`: `ID:/path` inside a sandbox, a path of this machine, or `-`.

import {TunlError} from '../../core/errors.js';

export interface CopyPath {
  /** The sandbox, by id or name; undefined: this machine. */
  readonly sandbox?: string | undefined;
  /** `-`: stdin or stdout. */
  readonly path: string;
}

export interface Copy {
  readonly sandbox: string;
  readonly into: boolean;
  readonly local: string;
  readonly inside: string;
}

/** As with docker, a path of this machine with a colon is written `./a:b`. */
export function copyPath(text: string): CopyPath {
  const at = text.indexOf(':');
  if (at <= 0 || /^[./~-]/.test(text)) return {path: text};
  return {sandbox: text.slice(0, at), path: text.slice(at + 1)};
}

/** @throws TunlError USAGE */
export function copyOf(from: string, to: string): Copy {
  const [source, target] = [copyPath(from), copyPath(to)];
  const isOne = (source.sandbox === undefined) !== (target.sandbox === undefined);
  const inside = source.sandbox === undefined ? target : source;
  if (!isOne || inside.sandbox === undefined || inside.path === '') {
    throw new TunlError('USAGE', {
      reason: isOne
        ? 'The path inside the sandbox is missing.'
        : 'One of the two paths is inside a sandbox, and the other one on this machine.',
      next: 'Write it like `tunl sandbox cp data.csv ID:/tmp/` or `tunl sandbox cp ID:/tmp/out.csv .`.',
    });
  }
  const into = source.sandbox === undefined;
  return {sandbox: inside.sandbox, into, local: into ? source.path : target.path, inside: inside.path};
}

// The environment of a command in a sandbox: --env and --env-file, as docker reads them. A value never stands in an error.

import {TunlError} from '../../core/errors.js';
import {readTextFile} from '../../core/text-file.js';

const NAME = /^[^=\s\0]+$/;

/**
 * Later settings win, and --env over --env-file. A name alone is a variable of this process; one that is not set is left out.
 *
 * @throws TunlError OPTION_INVALID, FILE_UNREADABLE
 */
export async function environment(
  settings: readonly string[] = [],
  files: readonly string[] = [],
  own: NodeJS.ProcessEnv = process.env,
): Promise<Record<string, string>> {
  const lines = (await Promise.all(files.map(linesOf))).flat();
  const given = settings.map((text) => ({text, from: '--env'}));
  return Object.fromEntries([...lines, ...given].flatMap((line) => variable(line, own)));
}

interface Line {
  readonly text: string;
  /** For errors. */
  readonly from: string;
}

async function linesOf(path: string): Promise<Line[]> {
  const text = await readTextFile(path);
  return text
    .split(/\r?\n/)
    .map((line, at) => ({text: line.trimStart(), from: `${path}:${at + 1}`}))
    .filter(({text: line}) => line !== '' && !line.startsWith('#'));
}

function variable({text, from}: Line, own: NodeJS.ProcessEnv): [string, string][] {
  const at = text.indexOf('=');
  const name = at < 0 ? text.trimEnd() : text.slice(0, at);
  if (!NAME.test(name) || text.includes('\0')) {
    throw new TunlError('OPTION_INVALID', {
      reason: `${from}: a variable is written NAME=VALUE, or NAME for one of this process.`,
      next: 'Give it a name without spaces.',
    });
  }
  const value = at < 0 ? own[name] : text.slice(at + 1);
  return value === undefined ? [] : [[name, value]];
}

// The command of `tunl sandbox run` and `exec`: the words after `--`.

import {TunlError} from '../../core/errors.js';

/** @param example a line that is right. @throws TunlError USAGE */
export function commandWords(words: readonly string[] | undefined, example: string): readonly string[] {
  if (words !== undefined && words.length > 0) return words;
  throw new TunlError('USAGE', {
    reason: 'There is no command after `--`.',
    next: `Write it like \`${example}\`.`,
  });
}

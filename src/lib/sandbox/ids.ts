// The ids and names of sandboxes.

import {TunlError} from '../core/errors.js';
import {randomInt} from '../core/node-crypto.js';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz23456789';
const LENGTH = 8;
const ID = /^sb_[a-z2-9]{8}$/;
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$/;

/** `sb_` and eight characters. */
export function newSandboxId(): string {
  const letters = Array.from({length: LENGTH}, () => ALPHABET[randomInt(ALPHABET.length)]);
  return `sb_${letters.join('')}`;
}

export function isSandboxId(text: string): boolean {
  return ID.test(text);
}

/** @throws TunlError OPTION_INVALID */
export function checkSandboxName(name: string): string {
  if (NAME.test(name) && !name.startsWith('sb_')) return name;
  throw new TunlError('OPTION_INVALID', {
    reason:
      'The name of a sandbox has 1 to 63 letters, digits, `_`, `.` and `-`, and does not begin with `sb_`.',
    next: 'Choose another name.',
  });
}

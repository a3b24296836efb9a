// Collects the keys for `tunl ssh`: from files, from a GitHub user, from the running ssh-agent.

import {boolean, string} from '@oclif/core/flags';
import {TunlError} from '../core/errors.js';
import {keysFromGitHub} from '../launch/ssh/github-keys.js';
import {keysFromAgent, keysFromFile, mergeKeys} from '../launch/ssh/key-sources.js';
import type {PublicKey} from '../launch/ssh/public-key.js';

export const keyFlags = {
  key: string({
    helpValue: 'FILE',
    multiple: true,
    multipleNonGreedy: true,
    summary: 'A public key or an authorized_keys file. Repeatable.',
  }),
  github: string({
    helpValue: 'USER',
    multiple: true,
    multipleNonGreedy: true,
    summary: 'The keys that GitHub publishes for USER. Repeatable.',
  }),
  'agent-keys': boolean({summary: 'The keys of the running ssh-agent.'}),
};

export interface KeyFlags {
  key: readonly string[] | undefined;
  github: readonly string[] | undefined;
  'agent-keys': boolean;
}

/** @throws TunlError USAGE, KEY_*, FILE_UNREADABLE */
export async function keysOf(flags: KeyFlags, tell: (notice: string) => void): Promise<readonly PublicKey[]> {
  const {key = [], github = []} = flags;
  if (key.length + github.length === 0 && !flags['agent-keys']) {
    throw new TunlError('USAGE', {
      reason: '`tunl ssh` needs the keys that may log in.',
      next: 'Give a public key with --key FILE, or --github USER, or --agent-keys.',
    });
  }
  const lists = await Promise.all([
    ...key.map((path) => keysFromFile(path)),
    ...github.map((user) => keysFromGitHub(user)),
    ...(flags['agent-keys'] ? [keysFromAgent()] : []),
  ]);
  const {keys, notices} = mergeKeys(lists);
  for (const notice of notices) tell(notice);
  return keys;
}

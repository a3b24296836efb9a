// Finds the password or token of a started program: from a file, from the environment, or a random one. Never from the
// command line.

import {string} from '@oclif/core/flags';
import {TunlError} from '../core/errors.js';
import {readSecretFile, type SecretKind} from '../core/state-dir.js';
import {randomSecret} from '../launch/secret.js';
import type {Presenter} from './presenter.js';

export interface SecretSource {
  file: string | undefined;
  variable: string;
  /** True when a random secret could be shown nowhere. */
  isSilent?: boolean;
}

export async function secretFor(
  kind: SecretKind,
  {file, variable, isSilent = false}: SecretSource,
): Promise<string> {
  if (file !== undefined) return await readSecretFile(file, kind);
  const given = process.env[variable];
  if (given) return given;
  if (isSilent)
    throw new TunlError('USAGE', {
      reason: `With --quiet the random ${kind} would not be shown.`,
      next: `Set ${variable} or pass --${kind}-file, or leave --quiet out.`,
    });
  return randomSecret();
}

export const passwordFlag = {
  'password-file': string({
    helpValue: 'FILE',
    summary: 'The password is its first line. (PASSWORD, or a random one)',
  }),
};

/** @throws TunlError USAGE when a random secret could be shown nowhere. A tunnel in the background shows it in its log. */
export async function passwordFor(
  flags: {'password-file': string | undefined; detach: boolean},
  presenter: Presenter,
): Promise<string> {
  return await secretFor('password', {
    file: flags['password-file'],
    variable: 'PASSWORD',
    isSilent: presenter.isSilent && !flags.detach,
  });
}

// Where the password or token of a started program comes from: a file, the environment, or chance. Never the command line.

import {readSecretFile} from '../core/state-dir.js';
import {randomSecret} from '../launch/secret.js';

export async function secretFor(file: string | undefined, variable: string): Promise<string> {
  if (file !== undefined) return await readSecretFile(file);
  return process.env[variable] || randomSecret();
}

// Where the password or token of a started program comes from: a file, the environment, or chance. Never the command line.

import {readSecretFile, type SecretKind} from '../core/state-dir.js';
import {randomSecret} from '../launch/secret.js';

export async function secretFor(
  kind: SecretKind,
  {file, variable}: {file: string | undefined; variable: string},
): Promise<string> {
  if (file !== undefined) return await readSecretFile(file, kind);
  return process.env[variable] || randomSecret();
}

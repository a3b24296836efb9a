// The certificate of this user's own CA. A relay makes it in the state folder; agents and visitors of the same user trust it.

import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {X509Certificate} from './node-crypto.js';
import {checkState} from './state-trust.js';

export const CA_FOLDER = 'ca';
export const CA_FILE = 'tunl-ca.pem';

/** PEM; undefined when there is none, or other users could have written it. */
export async function readOwnCa(stateDir: string): Promise<string | undefined> {
  try {
    // Another user could have planted a CA.
    await checkState(stateDir, CA_FOLDER, CA_FILE);
    const text = await readFile(join(stateDir, CA_FOLDER, CA_FILE), 'utf8');
    new X509Certificate(text);
    return text;
  } catch {
    return undefined;
  }
}

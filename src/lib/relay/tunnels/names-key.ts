// The key of a relay's random names, in the state folder: names are known again after a restart, and by the next relay.

import {rm} from 'node:fs/promises';
import {dirname, join} from 'node:path';
import type {Logger} from '../../core/logger.js';
import {randomBytes} from '../../core/node-crypto.js';
import {createFileAtomic, ensurePrivateDir, readStateFile} from '../../core/state-dir.js';
import {checkState} from '../../core/state-trust.js';
import type {RelaySettings} from '../settings.js';

const KEY_BYTES = 32;
const FILE = 'names.key';

export const newNamesKey = (): Buffer => randomBytes(KEY_BYTES);

/**
 * Reads the key, or makes it. A relay whose state folder cannot be written serves nevertheless, with a key for this run.
 *
 * @throws TunlError STATE_DIR when others could have written the file.
 */
export async function openNamesKey(
  {
    stateDir,
    domain,
    tokenRegistry,
    oidcIssuers,
  }: Pick<RelaySettings, 'stateDir' | 'domain' | 'tokenRegistry' | 'oidcIssuers'>,
  log: Logger,
): Promise<Buffer> {
  // No token has only some rights: every agent may have all names.
  if (!tokenRegistry && oidcIssuers.length === 0) return newNamesKey();
  const place = ['relay', domain, FILE];
  await checkState(stateDir, ...place);
  const path = join(stateDir, ...place);
  const text = await readStateFile(path);
  const kept = text === undefined ? undefined : keyIn(text);
  if (kept !== undefined) return kept;
  const made = newNamesKey();
  try {
    if (text !== undefined) {
      log.warn('the key of random names is damaged; agents may lose their names', {path});
      await rm(path);
    }
    await ensurePrivateDir(dirname(path));
    await createFileAtomic(path, `${made.toString('hex')}\n`);
    // Another process may have been faster.
    return keyIn((await readStateFile(path)) ?? '') ?? made;
  } catch (error) {
    log.error('the key of random names cannot be written; agents may lose their names at a restart', {
      path,
      reason: error instanceof Error ? error.message : '',
    });
    return made;
  }
}

function keyIn(text: string): Buffer | undefined {
  const hex = text.trim();
  return /^[0-9a-f]{64}$/.test(hex) ? Buffer.from(hex, 'hex') : undefined;
}

// The key by which visitors recognise this machine: made once for each user, so its fingerprint stays the same.
import {access, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {systemCode, TunlError} from '../../core/errors.js';
import {linkNew, openStateDir} from '../../core/state-dir.js';
import {checkStateFile} from '../../core/state-trust.js';
import {run} from '../run.js';
import {fingerprintOf, type PublicKey, parseKeyLine} from './public-key.js';

export interface HostKey {
  /** The private key's file, mode 0600. */
  readonly path: string;
  readonly publicKey: PublicKey;
  /** `SHA256:…` */
  readonly fingerprint: string;
}

/** `<state folder>/ssh/host_ed25519`, made if it does not exist. */
export async function hostKey(
  stateDir: string,
  env: Readonly<NodeJS.ProcessEnv> = process.env,
): Promise<HostKey> {
  const folder = await openStateDir(stateDir, 'ssh');
  const path = join(folder, 'host_ed25519');
  await checkStateFile(path);
  await checkStateFile(`${path}.pub`);
  try {
    if (await exists(path)) {
      const existing = await readPublic(path);
      if (existing) return existing;
    } else {
      await rm(`${path}.pub`, {force: true});
    }
    await generate(folder, path, env);
    const made = await readPublic(path);
    if (made) return made;
  } catch (error) {
    if (error instanceof TunlError) throw error;
    throw new TunlError('STATE_DIR', {
      reason: `The host key in ${folder} cannot be used (${systemCode(error) || 'unknown error'}).`,
      cause: error,
    });
  }
  throw new TunlError('STATE_DIR', {
    reason: `${path}.pub is no ed25519 public key.`,
    next: `Remove ${path} and ${path}.pub; visitors will then be told that the host key has changed.`,
  });
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

async function readPublic(path: string): Promise<HostKey | undefined> {
  let text: string;
  try {
    text = await readFile(`${path}.pub`, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  const line = parseKeyLine(text);
  if (line.kind !== 'key' || line.key.type !== 'ssh-ed25519') return undefined;
  return {path, publicKey: line.key, fingerprint: fingerprintOf(line.key)};
}

/** Makes the key in another folder and links it into place: of two processes one wins, and nobody sees half a pair. */
async function generate(folder: string, path: string, env: Readonly<NodeJS.ProcessEnv>): Promise<void> {
  const aside = await mkdtemp(join(folder, 'new-'));
  try {
    const made = join(aside, 'key');
    const {code} = await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'tunl', '-f', made], {
      env,
    });
    if (code !== 0) {
      throw new TunlError('PROGRAM_MISSING', {
        reason: 'ssh-keygen, which makes the host key, was not found or failed.',
        next: 'Install OpenSSH (`apt install openssh-client`, or your system’s package).',
      });
    }
    await linkNew(made, path);
    // From the private key that is in place now, which another process may have made: the two files must be one pair.
    const {stdout} = await run('ssh-keygen', ['-y', '-f', path], {env});
    // Independent of the umask: a key file that others can write to is not trusted.
    await writeFile(`${made}.pub`, stdout, {mode: 0o644});
    await linkNew(`${made}.pub`, `${path}.pub`);
  } finally {
    await rm(aside, {recursive: true, force: true});
  }
}

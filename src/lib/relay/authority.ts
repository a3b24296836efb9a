// The relay's private CA: made once in the state folder, and one leaf certificate for each name, signed when it is needed.

import {link, readFile, rm, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {systemCode, TunlError} from '../core/errors.js';
import {createPrivateKey, generateKeyPairSync, randomUUID, X509Certificate} from '../core/node-crypto.js';
import {ensurePrivateDir, writeFileAtomic} from '../core/state-dir.js';

/** PEM texts that belong together. */
export interface KeyPair {
  cert: string;
  key: string;
}

export interface Leaf extends KeyPair {
  /** ms of wall clock. */
  expiresAt: number;
}

const DAY_MS = 24 * 3_600_000;
const CA_DAYS = 3_650;
/** Browsers take no more than 398; a relay restarts or renews long before that. */
const LEAF_DAYS = 90;
/** Clocks of visitors may be behind. */
const SKEW_MS = 3_600_000;
/** Loaded when the first certificate has to be signed: it takes longer than everything else that a relay loads. */
const signer = async () => await import('./sign.js');

export class Authority {
  /** What visitors and agents are to trust. */
  readonly caFile: string;
  readonly #folder: string;
  readonly #ca: KeyPair;
  /** One key for all leaves of this relay; never one certificate for two names. */
  readonly #leafKey: KeyPair;

  private constructor(folder: string, ca: KeyPair, leafKey: KeyPair) {
    this.#folder = folder;
    this.caFile = caFileIn(folder);
    this.#ca = ca;
    this.#leafKey = leafKey;
  }

  /** Opens the CA of a state folder, or makes it. @throws TunlError STATE_DIR */
  static async open(stateDir: string): Promise<Authority> {
    const folder = join(stateDir, 'ca');
    await ensurePrivateDir(folder);
    const ca = await readOrMake(join(folder, 'tunl-ca.key'), makeCa);
    const leafKey = await readOrMake(join(folder, 'leaf.key'), makeLeafKey);
    const file = caFileIn(folder);
    if ((await readOrUndefined(file)) !== ca.cert) await writeFileAtomic(file, ca.cert, 0o644);
    return new Authority(folder, ca, leafKey);
  }

  /** A certificate for this name and no other. */
  async sign(name: string): Promise<Leaf> {
    const {signLeaf} = await signer();
    const expiresAt = Date.now() + LEAF_DAYS * DAY_MS;
    const cert = await signLeaf({name, ca: this.#ca, publicKey: this.#leafKey.cert, ...validity(expiresAt)});
    return {cert, key: this.#leafKey.key, expiresAt};
  }

  /** Like `sign`, but kept in the state folder: the relay's own name is wanted at every start, and signing takes a while. */
  async signOnce(name: string): Promise<Leaf> {
    const path = join(this.#folder, `${name}.pem`);
    const kept = await readOrUndefined(path);
    const leaf = kept === undefined ? undefined : this.#check(kept);
    if (leaf !== undefined) return leaf;
    const fresh = await this.sign(name);
    await writeFileAtomic(path, fresh.cert, 0o644);
    return fresh;
  }

  /** A kept leaf is good while it is this CA's, has this key, and a third of its life is left. */
  #check(cert: string): Leaf | undefined {
    try {
      const parsed = new X509Certificate(cert);
      const expiresAt = Date.parse(parsed.validTo);
      const ours = parsed.verify(new X509Certificate(this.#ca.cert).publicKey);
      const fits = parsed.checkPrivateKey(createPrivateKey(this.#leafKey.key));
      if (!ours || !fits || expiresAt - Date.now() < (LEAF_DAYS * DAY_MS) / 3) return undefined;
      return {cert, key: this.#leafKey.key, expiresAt};
    } catch {
      return undefined;
    }
  }
}

const caFileIn = (folder: string): string => join(folder, 'tunl-ca.pem');

const validity = (expiresAt: number) => ({
  notBefore: new Date(Date.now() - SKEW_MS),
  notAfter: new Date(expiresAt),
});

async function makeCa(): Promise<KeyPair> {
  const {signCa} = await signer();
  const {privateKey} = newKeyPair();
  const name = `tunl private CA ${randomUUID().slice(0, 8)}`;
  const cert = await signCa({name, key: privateKey, ...validity(Date.now() + CA_DAYS * DAY_MS)});
  return {cert, key: privateKey};
}

/** `cert` holds the public key here. */
function makeLeafKey(): Promise<KeyPair> {
  const {publicKey, privateKey} = newKeyPair();
  return Promise.resolve({cert: publicKey, key: privateKey});
}

/** ECDSA P-256: six times the handshakes a second of RSA-4096. */
function newKeyPair(): {publicKey: string; privateKey: string} {
  return generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: {type: 'spki', format: 'pem'},
    privateKeyEncoding: {type: 'pkcs8', format: 'pem'},
  });
}

/** Key and certificate stand in one file, which appears whole or not at all: of two processes that start at once one makes it. */
async function readOrMake(path: string, make: () => Promise<KeyPair>): Promise<KeyPair> {
  const there = await readOrUndefined(path);
  if (there !== undefined) return split(path, there);
  const made = await make();
  const draft = `${path}.${randomUUID()}`;
  try {
    await writeFile(draft, made.key + made.cert, {mode: 0o600, flag: 'wx'});
    await link(draft, path);
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') {
      throw new TunlError('STATE_DIR', {
        reason: `${path} cannot be written (${systemCode(error)}).`,
        cause: error,
      });
    }
  } finally {
    await rm(draft, {force: true});
  }
  return split(path, (await readOrUndefined(path)) ?? '');
}

function split(path: string, text: string): KeyPair {
  const end = /-----END [A-Z ]*PRIVATE KEY-----\r?\n/.exec(text);
  const at = end === null ? -1 : end.index + end[0].length;
  if (at < 0 || !text.includes('-----BEGIN ', at)) {
    throw new TunlError('STATE_DIR', {
      reason: `${path} does not hold a key and its certificate.`,
      next: 'Move the file away; a new CA is made, which visitors have to trust anew.',
    });
  }
  return {key: text.slice(0, at), cert: text.slice(at)};
}

async function readOrUndefined(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw new TunlError('STATE_DIR', {
      reason: `${path} cannot be read (${systemCode(error)}).`,
      cause: error,
    });
  }
}

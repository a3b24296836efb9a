// The relay's private CA. It is made once, in the state folder, and signs one leaf certificate for each name on demand.

import {isIP} from 'node:net';
import {join} from 'node:path';
import {TunlError} from '../../core/errors.js';
import {LOCAL_HOST} from '../../core/localhost.js';
import type {Logger} from '../../core/logger.js';
import {createPrivateKey, generateKeyPairSync, randomUUID, X509Certificate} from '../../core/node-crypto.js';
import {CA_FILE, CA_FOLDER} from '../../core/own-ca.js';
import {createFileAtomic, openStateDir, readStateFile, writeFileAtomic} from '../../core/state-dir.js';
import {LeafSigner, signCa} from './sign.js';

/** PEM texts of one pair. */
export interface KeyPair {
  cert: string;
  key: string;
}

/** ms of wall clock, in whole seconds as in certificates. */
interface Validity {
  validFrom: number;
  expiresAt: number;
}

export interface Leaf extends KeyPair, Validity {}

/** 127.0.0.1 and ::1. */
const LOOPBACK_BYTES = [Buffer.from([127, 0, 0, 1]), Buffer.from([...Array<number>(15).fill(0), 1])];

/** The bytes of an IP address, as in certificates. */
function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  // The URL parser has one spelling for each address: hex groups, with at most one `::`.
  const [head = '', tail] = new URL(`https://[${address}]`).hostname.slice(1, -1).split('::');
  const groupsOf = (text = '') => (text === '' ? [] : text.split(':'));
  const [before, after] = [groupsOf(head), groupsOf(tail)];
  const zeros = Array<string>(8 - before.length - after.length).fill('0');
  return Buffer.from([...before, ...zeros, ...after].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

const DAY_MS = 24 * 3_600_000;
const CA_DAYS = 3_650;
/** Browsers accept at most 398 days; a relay restarts or renews long before that. */
const LEAF_DAYS = 90;
/** A leaf that expires within this time is replaced. */
const RENEW_BEFORE_MS = 30 * DAY_MS;
/** A leaf is valid from this time before now, because visitors' clocks may be slow, even by a time zone. */
const SKEW_MS = DAY_MS;

export class Authority {
  /** The file of the CA certificate that visitors and agents must trust. */
  readonly caFile: string;
  readonly #folder: string;
  readonly #ca: KeyPair;
  /** All leaves of this relay have one key, but two names never share a certificate. */
  readonly #leafKey: KeyPair;
  readonly #validity: Validity;
  #signer: LeafSigner | undefined;
  /** A leaf that cannot be kept is reported once, until one is kept again. */
  #hasFailed = false;

  private constructor(folder: string, ca: KeyPair, leafKey: KeyPair, validity: Validity) {
    this.#folder = folder;
    this.caFile = caFileIn(folder);
    this.#ca = ca;
    this.#leafKey = leafKey;
    this.#validity = validity;
  }

  /** PEM of the CA's certificate. */
  get ca(): string {
    return this.#ca.cert;
  }

  /** The end of the CA's validity, ms of wall clock. */
  get expiresAt(): number {
    return this.#validity.expiresAt;
  }

  /** Opens the CA of a state folder, or makes it. @throws TunlError STATE_DIR, also when the CA is not valid now. */
  static async open(stateDir: string): Promise<Authority> {
    const folder = await openStateDir(stateDir, CA_FOLDER);
    const ca = await readOrMake(join(folder, 'tunl-ca.key'), makeCa);
    const leafKey = await readOrMake(join(folder, 'leaf.key'), makeLeafKey);
    const validity = checkNow(folder, ca);
    const file = caFileIn(folder);
    if ((await readStateFile(file)) !== ca.cert) await writeFileAtomic(file, ca.cert, 0o644);
    return new Authority(folder, ca, leafKey, validity);
  }

  /** True when a leaf is usable now. If not, a new one is better. */
  holds({validFrom, expiresAt}: Validity): boolean {
    const now = Date.now();
    const ca = this.#validity;
    // The clock of this machine is wrong, or the CA is no longer valid: a new leaf would be no better than the old one.
    if (now < ca.validFrom || now >= ca.expiresAt) return true;
    const renewAt = expiresAt < ca.expiresAt ? expiresAt - RENEW_BEFORE_MS : expiresAt;
    return validFrom <= now && now < renewAt;
  }

  /** A certificate for this name or IP address and no other; for `localhost` also for the addresses of loopback. */
  async sign(name: string): Promise<Leaf> {
    this.#signer ??= new LeafSigner({ca: this.#ca, publicKey: this.#leafKey.cert});
    const validity = within(this.#validity, LEAF_DAYS);
    const addresses = name === LOCAL_HOST ? LOOPBACK_BYTES : isIP(name) > 0 ? [addressBytes(name)] : [];
    const names = isIP(name) > 0 ? [] : [name];
    const cert = this.#signer.sign({commonName: name, names, addresses, ...datesOf(validity)});
    return {cert, key: this.#leafKey.key, ...validity};
  }

  /**
   * Like `sign`, but the leaf is kept in the state folder: every start needs the relay's own name, and signing is slow. A leaf
   * that cannot be kept serves as well, until the next start.
   */
  async signOnce(name: string, log: Logger): Promise<Leaf> {
    const path = join(this.#folder, `${name.replaceAll(':', '-')}.pem`);
    const kept = await readStateFile(path);
    const leaf = kept === undefined ? undefined : this.#check(kept);
    if (leaf !== undefined) return leaf;
    const fresh = await this.sign(name);
    try {
      await writeFileAtomic(path, fresh.cert, 0o644);
      this.#hasFailed = false;
    } catch (error) {
      if (!this.#hasFailed)
        log.warn('a new certificate cannot be kept, so the next start makes another one', {
          name,
          reason: error instanceof Error ? error.message : '',
        });
      this.#hasFailed = true;
    }
    return fresh;
  }

  /** A kept leaf is usable when this CA signed it for this key and it is valid for some more time. */
  #check(cert: string): Leaf | undefined {
    try {
      const parsed = new X509Certificate(cert);
      const validity = validityOf(parsed);
      const ours = parsed.verify(new X509Certificate(this.#ca.cert).publicKey);
      const fits = parsed.checkPrivateKey(createPrivateKey(this.#leafKey.key));
      if (!ours || !fits || !this.holds(validity)) return undefined;
      return {cert, key: this.#leafKey.key, ...validity};
    } catch {
      return undefined;
    }
  }
}

const caFileIn = (folder: string): string => join(folder, CA_FILE);

const ALWAYS: Validity = {validFrom: 0, expiresAt: Number.POSITIVE_INFINITY};

/** The validity: from a little before now, for `days`, and never beyond the end of the CA. */
function within(ca: Validity, days: number): Validity {
  const now = Math.min(Math.max(Date.now(), ca.validFrom), ca.expiresAt);
  return {
    validFrom: Math.max(ca.validFrom, wholeSeconds(now - SKEW_MS)),
    expiresAt: Math.min(ca.expiresAt, wholeSeconds(now + days * DAY_MS)),
  };
}

const wholeSeconds = (ms: number): number => Math.floor(ms / 1_000) * 1_000;

const datesOf = ({validFrom, expiresAt}: Validity) => ({
  notBefore: new Date(validFrom),
  notAfter: new Date(expiresAt),
});

const validityOf = ({validFrom, validTo}: {validFrom: string; validTo: string}): Validity => ({
  validFrom: Date.parse(validFrom),
  expiresAt: Date.parse(validTo),
});

/** @throws TunlError STATE_DIR when the CA is not valid now: a clock is wrong, or was wrong when the CA was made. */
function checkNow(folder: string, ca: KeyPair): Validity {
  const path = join(folder, 'tunl-ca.key');
  let validity: Validity;
  try {
    validity = validityOf(new X509Certificate(ca.cert));
  } catch (error) {
    throw new TunlError('STATE_DIR', {
      reason: `${path} contains no usable certificate.`,
      next: moveAway(folder),
      cause: error,
    });
  }
  const now = Date.now();
  if (validity.validFrom <= now && now < validity.expiresAt) return validity;
  const day = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  throw new TunlError('STATE_DIR', {
    reason:
      `The relay’s own CA in ${path} is valid from ${day(validity.validFrom)} to ${day(validity.expiresAt)}, ` +
      `and this machine’s clock says ${day(now)}.`,
    next: `Correct the clock. If it is right: ${moveAway(folder)}`,
  });
}

const moveAway = (folder: string): string =>
  `Move ${folder} away; tunl then makes a new CA, which visitors have to trust.`;

async function makeCa(): Promise<KeyPair> {
  const {privateKey} = newKeyPair();
  const name = `tunl private CA ${randomUUID().slice(0, 8)}`;
  const cert = signCa({name, key: privateKey, ...datesOf(within(ALWAYS, CA_DAYS))});
  return {cert, key: privateKey};
}

/** `cert` holds the public key here. */
function makeLeafKey(): Promise<KeyPair> {
  const {publicKey, privateKey} = newKeyPair();
  return Promise.resolve({cert: publicKey, key: privateKey});
}

/** ECDSA P-256 allows six times the handshakes a second of RSA-4096. */
function newKeyPair(): {publicKey: string; privateKey: string} {
  return generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: {type: 'spki', format: 'pem'},
    privateKeyEncoding: {type: 'pkcs8', format: 'pem'},
  });
}

/** Key and certificate are in one file that appears whole or not at all. Of two processes that start at once, one makes it. */
async function readOrMake(path: string, make: () => Promise<KeyPair>): Promise<KeyPair> {
  const there = await readStateFile(path);
  if (there !== undefined) return split(path, there);
  const made = await make();
  await createFileAtomic(path, made.key + made.cert);
  return split(path, (await readStateFile(path)) ?? '');
}

function split(path: string, text: string): KeyPair {
  const end = /-----END [A-Z ]*PRIVATE KEY-----\r?\n/.exec(text);
  const at = end === null ? -1 : end.index + end[0].length;
  if (at < 0 || !text.includes('-----BEGIN ', at)) {
    throw new TunlError('STATE_DIR', {
      reason: `${path} does not contain a key and its certificate.`,
      next: 'Move the file away; tunl then makes a new CA, which visitors have to trust.',
    });
  }
  return {key: text.slice(0, at), cert: text.slice(at)};
}

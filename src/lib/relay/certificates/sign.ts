// Signs X.509 certificates that strict verifiers accept (RFC 5280): with key identifiers, which OpenSSL's strict mode, and
// therefore Python from 3.13 on, requires.

// The X.509 library requires that this is loaded first.
import 'reflect-metadata';
import type {KeyObject} from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PublicKey,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import {createPrivateKey, createPublicKey, randomBytes, sign} from '../../core/node-crypto.js';
import type {KeyPair} from './authority.js';
import {DER, der, derTime} from './der.js';

const CURVE = {name: 'ECDSA', namedCurve: 'P-256'};
const SIGNING = {name: 'ECDSA', hash: 'SHA-256'};
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
/** The most characters that a common name may have. */
const MAX_COMMON_NAME = 64;

/** Object identifiers as DER, with tag and length. */
const OID = {
  commonName: Buffer.from('0603550403', 'hex'),
  subjectAltName: Buffer.from('0603551d11', 'hex'),
  ecdsaWithSha256: Buffer.from('06082a8648ce3d040302', 'hex'),
};
/** Context tags of a certificate: its version, its extensions; of a general name: a DNS name, an IP address. */
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
const DNS_NAME = 0x82;
const IP_ADDRESS = 0x87;

/** The parts of a leaf, as DER, that are the same in all. */
interface FixedParts {
  issuer: Uint8Array;
  publicKey: Uint8Array;
  extensions: Uint8Array[];
}

interface Validity {
  notBefore: Date;
  notAfter: Date;
}

interface SignOptions extends Validity {
  commonName: string;
  names: readonly string[];
  addresses: readonly Uint8Array[];
}

/** A CA that signs leaves and no further CAs. @param options.key PEM, P-256. @returns PEM. */
export async function signCa({
  name,
  key,
  ...validity
}: Validity & {name: string; key: string}): Promise<string> {
  const privateKey = createPrivateKey(key);
  const publicKey = rawPublicKey(createPublicKey(key));
  const made = await X509CertificateGenerator.create({
    ...validity,
    serialNumber: serialNumber().toString('hex'),
    subject: `CN=${name}`,
    issuer: `CN=${name}`,
    publicKey,
    signingKey: await signingKey(privateKey),
    signingAlgorithm: SIGNING,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(publicKey),
      await AuthorityKeyIdentifierExtension.create(publicKey),
    ],
  });
  return `${made.toString('pem')}\n`;
}

/**
 * Signs servers' certificates for one host each. They differ only in serial number, times and name, so the library makes
 * the other parts once: it takes ten times as long for a certificate as the signature alone.
 */
export class LeafSigner {
  readonly #key: KeyObject;
  readonly #fixed: FixedParts;

  private constructor(key: KeyObject, fixed: FixedParts) {
    this.#key = key;
    this.#fixed = fixed;
  }

  /** @param options.publicKey of the leaves, PEM. */
  static async create({ca, publicKey}: {ca: KeyPair; publicKey: string}): Promise<LeafSigner> {
    const issuer = new X509Certificate(ca.cert);
    const leafKey = rawPublicKey(createPublicKey(publicKey));
    const extensions = [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([SERVER_AUTH]),
      await SubjectKeyIdentifierExtension.create(leafKey),
      await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ];
    return new LeafSigner(createPrivateKey(ca.key), {
      issuer: new Uint8Array(issuer.subjectName.toArrayBuffer()),
      publicKey: new Uint8Array(leafKey.rawData),
      extensions: extensions.map(({rawData}) => new Uint8Array(rawData)),
    });
  }

  /** @param options.addresses IP addresses of the same host, as bytes. Without names it is for these alone. @returns PEM. */
  sign({commonName: wanted, names, addresses, notBefore, notAfter}: SignOptions): string {
    const {issuer, publicKey, extensions} = this.#fixed;
    const algorithm = der(DER.sequence, OID.ecdsaWithSha256);
    const commonName = wanted.length > MAX_COMMON_NAME ? 'tunl' : wanted;
    const altName = der(
      DER.sequence,
      ...names.map((name) => der(DNS_NAME, name)),
      ...addresses.map((address) => der(IP_ADDRESS, address)),
    );
    const content = der(
      DER.sequence,
      der(VERSION, der(DER.integer, Buffer.from([2]))),
      der(DER.integer, serialNumber()),
      algorithm,
      issuer,
      der(DER.sequence, derTime(notBefore), derTime(notAfter)),
      der(DER.sequence, der(DER.set, der(DER.sequence, OID.commonName, der(DER.utf8String, commonName)))),
      publicKey,
      der(
        EXTENSIONS,
        der(
          DER.sequence,
          ...extensions,
          der(DER.sequence, OID.subjectAltName, der(DER.octetString, altName)),
        ),
      ),
    );
    const signature = sign('sha256', content, this.#key);
    // A bit string says first how many bits of its last byte are unused.
    const made = der(DER.sequence, content, algorithm, der(DER.bitString, Buffer.from([0]), signature));
    return pem(made);
  }
}

function pem(made: Buffer): string {
  const lines = made.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

const rawPublicKey = (key: KeyObject): PublicKey =>
  new PublicKey(new Uint8Array(key.export({type: 'spki', format: 'der'})));

const signingKey = async (key: KeyObject) =>
  await crypto.subtle.importKey(
    'pkcs8',
    new Uint8Array(key.export({type: 'pkcs8', format: 'der'})),
    CURVE,
    false,
    ['sign'],
  );

/** 128 random bits; positive, as RFC 5280 requires. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}

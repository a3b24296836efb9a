// Signs X.509 certificates that strict verifiers accept (RFC 5280): with key identifiers, which OpenSSL's strict mode, and
// therefore Python from 3.13 on, requires.

import type {KeyObject} from 'node:crypto';
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  randomBytes,
  sign,
  X509Certificate,
} from '../../core/node-crypto.js';
import type {KeyPair} from './authority.js';
import {DER, der, derContent, derParts, derTime} from './der.js';

/** The most characters that a common name may have. */
const MAX_COMMON_NAME = 64;

const oid = (hex: string): Buffer => Buffer.from(hex, 'hex');

/** Object identifiers as DER, with tag and length. */
const OID = {
  commonName: oid('0603550403'),
  subjectKeyIdentifier: oid('0603551d0e'),
  keyUsage: oid('0603551d0f'),
  subjectAltName: oid('0603551d11'),
  basicConstraints: oid('0603551d13'),
  authorityKeyIdentifier: oid('0603551d23'),
  extendedKeyUsage: oid('0603551d25'),
  serverAuth: oid('06082b06010505070301'),
  ecdsaWithSha256: oid('06082a8648ce3d040302'),
};
/** Context tags of a certificate: its version, its extensions; of an authority key identifier: the key's. */
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;
const KEY_IDENTIFIER = 0x80;
/** Context tags of a general name. */
const DNS_NAME = 0x82;
const IP_ADDRESS = 0x87;

const TRUE = der(DER.boolean, Buffer.from([0xff]));
const ALGORITHM = der(DER.sequence, OID.ecdsaWithSha256);

/** The bits of key usages (RFC 5280 §4.2.1.3), after the number of bits of the last byte that are not used. */
const SIGNS_HANDSHAKES = Buffer.from([7, 0b1000_0000]);
const SIGNS_CERTIFICATES_AND_LISTS = Buffer.from([1, 0b0000_0110]);

interface Validity {
  notBefore: Date;
  notAfter: Date;
}

interface SignOptions extends Validity {
  commonName: string;
  names: readonly string[];
  addresses: readonly Uint8Array[];
}

/** The content of a certificate, as DER. */
interface Content extends Validity {
  issuer: Buffer;
  subject: Buffer;
  publicKey: Buffer;
  extensions: readonly Buffer[];
}

/** A CA that signs leaves and no further CAs. @param options.key PEM, P-256. @returns PEM. */
export function signCa({name, key, ...validity}: Validity & {name: string; key: string}): string {
  const subject = nameOf(name);
  const publicKey = derOf(createPublicKey(key));
  const identifier = keyIdentifier(publicKey);
  const noFurtherCa = der(DER.integer, Buffer.from([0]));
  const extensions = [
    extension(OID.basicConstraints, der(DER.sequence, TRUE, noFurtherCa), 'critical'),
    extension(OID.keyUsage, der(DER.bitString, SIGNS_CERTIFICATES_AND_LISTS), 'critical'),
    subjectIs(identifier),
    authorityIs(identifier),
  ];
  return signed({...validity, issuer: subject, subject, publicKey, extensions}, createPrivateKey(key));
}

/** Signs servers' certificates for one host each. They differ only in serial number, times and name. */
export class LeafSigner {
  readonly #key: KeyObject;
  readonly #fixed: Pick<Content, 'issuer' | 'publicKey' | 'extensions'>;

  /** @param options.publicKey of the leaves, PEM. */
  constructor({ca, publicKey}: {ca: KeyPair; publicKey: string}) {
    const issuer = new X509Certificate(ca.cert);
    const leafKey = derOf(createPublicKey(publicKey));
    this.#key = createPrivateKey(ca.key);
    this.#fixed = {
      issuer: subjectOf(issuer.raw),
      publicKey: leafKey,
      extensions: [
        extension(OID.basicConstraints, der(DER.sequence), 'critical'),
        extension(OID.keyUsage, der(DER.bitString, SIGNS_HANDSHAKES), 'critical'),
        extension(OID.extendedKeyUsage, der(DER.sequence, OID.serverAuth)),
        subjectIs(keyIdentifier(leafKey)),
        authorityIs(keyIdentifier(derOf(issuer.publicKey))),
      ],
    };
  }

  /** @param options.addresses IP addresses of the same host, as bytes. Without names it is for these alone. @returns PEM. */
  sign({commonName, names, addresses, ...validity}: SignOptions): string {
    const {extensions, ...fixed} = this.#fixed;
    const subject = nameOf(commonName.length > MAX_COMMON_NAME ? 'tunl' : commonName);
    const altName = der(
      DER.sequence,
      ...names.map((name) => der(DNS_NAME, name)),
      ...addresses.map((address) => der(IP_ADDRESS, address)),
    );
    const all = [...extensions, extension(OID.subjectAltName, altName)];
    return signed({...fixed, ...validity, subject, extensions: all}, this.#key);
  }
}

/** PEM. */
function signed({issuer, subject, publicKey, extensions, ...validity}: Content, key: KeyObject): string {
  const content = der(
    DER.sequence,
    der(VERSION, der(DER.integer, Buffer.from([2]))),
    der(DER.integer, serialNumber()),
    ALGORITHM,
    issuer,
    der(DER.sequence, derTime(validity.notBefore), derTime(validity.notAfter)),
    subject,
    publicKey,
    der(EXTENSIONS, der(DER.sequence, ...extensions)),
  );
  const signature = sign('sha256', content, key);
  // A bit string says first how many bits of its last byte are unused.
  return pem(der(DER.sequence, content, ALGORITHM, der(DER.bitString, Buffer.from([0]), signature)));
}

function pem(made: Buffer): string {
  const lines = made.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

const nameOf = (commonName: string): Buffer =>
  der(DER.sequence, der(DER.set, der(DER.sequence, OID.commonName, der(DER.utf8String, commonName))));

const extension = (id: Buffer, value: Buffer, critical?: 'critical'): Buffer =>
  der(DER.sequence, id, ...(critical ? [TRUE] : []), der(DER.octetString, value));

const subjectIs = (identifier: Buffer): Buffer =>
  extension(OID.subjectKeyIdentifier, der(DER.octetString, identifier));

const authorityIs = (identifier: Buffer): Buffer =>
  extension(OID.authorityKeyIdentifier, der(DER.sequence, der(KEY_IDENTIFIER, identifier)));

const derOf = (key: KeyObject): Buffer => key.export({type: 'spki', format: 'der'});

/** SHA-1 of the key's bits (RFC 5280 §4.2.1.2): it tells keys apart and protects nothing. */
function keyIdentifier(publicKey: Buffer): Buffer {
  const [, bits = Buffer.alloc(0)] = derParts(publicKey);
  return createHash('sha1').update(derContent(bits).subarray(1)).digest();
}

/** The subject as the certificate spells it: issuers are compared byte by byte. */
function subjectOf(certificate: Buffer): Buffer {
  const [content = Buffer.alloc(0)] = derParts(certificate);
  const [, , , , , subject = Buffer.alloc(0)] = derParts(content);
  return subject;
}

/** 128 random bits; positive, as RFC 5280 requires. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}

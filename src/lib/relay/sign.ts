// Signs X.509 certificates that strict verifiers take (RFC 5280): with key identifiers, which OpenSSL's strict mode and
// so Python from 3.13 on ask for.

import {createHash, createPublicKey, randomBytes, sign, X509Certificate} from '../core/node-crypto.js';
import type {KeyPair} from './authority.js';
import {
  bitString,
  explicit,
  implicit,
  integer,
  isTrue,
  objectId,
  octetString,
  sequence,
  set,
  time,
  utf8String,
  valuesIn,
} from './der.js';

const OID = {
  commonName: '2.5.4.3',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
} as const;

/** Numbers of general names (RFC 5280, 4.2.1.6). */
const DNS_NAME = 2;
/** Bits of the key usage, and how many of their last byte mean nothing. */
const SIGNS_CERTIFICATES = bitString(Buffer.from([0x06]), 1);
const SIGNS_HANDSHAKES = bitString(Buffer.from([0x80]), 7);
/** The most characters that a common name may have. */
const MAX_COMMON_NAME = 64;

interface Validity {
  notBefore: Date;
  notAfter: Date;
}

/** A CA that signs leaves and no further CAs. @param options.key PEM, P-256. @returns PEM. */
export function signCa({name, key, ...validity}: Validity & {name: string; key: string}): string {
  const publicKey = spkiOf(key);
  const subject = commonName(name);
  const pathLength = integer(0);
  return certificate({
    ...validity,
    subject,
    issuer: subject,
    publicKey,
    signingKey: key,
    extensions: [
      extension(OID.basicConstraints, sequence(isTrue, pathLength), 'critical'),
      extension(OID.keyUsage, SIGNS_CERTIFICATES, 'critical'),
      extension(OID.subjectKeyIdentifier, octetString(keyIdentifier(publicKey))),
      extension(OID.authorityKeyIdentifier, sequence(implicit(0, keyIdentifier(publicKey)))),
    ],
  });
}

/** A server's certificate for one DNS name. @param options.publicKey PEM. @returns PEM. */
export function signLeaf(options: Validity & {name: string; ca: KeyPair; publicKey: string}): string {
  const {name, ca, ...validity} = options;
  const publicKey = spkiOf(options.publicKey);
  const issuer = readIssuer(ca.cert);
  return certificate({
    ...validity,
    subject: commonName(name.length > MAX_COMMON_NAME ? 'tunl' : name),
    issuer: issuer.subject,
    publicKey,
    signingKey: ca.key,
    extensions: [
      extension(OID.basicConstraints, sequence(), 'critical'),
      extension(OID.keyUsage, SIGNS_HANDSHAKES, 'critical'),
      extension(OID.extKeyUsage, sequence(objectId(OID.serverAuth))),
      extension(OID.subjectAltName, sequence(implicit(DNS_NAME, Buffer.from(name, 'ascii')))),
      extension(OID.subjectKeyIdentifier, octetString(keyIdentifier(publicKey))),
      extension(OID.authorityKeyIdentifier, sequence(implicit(0, keyIdentifier(issuer.publicKey)))),
    ],
  });
}

interface CertificateParts extends Validity {
  subject: Buffer;
  issuer: Buffer;
  publicKey: Buffer;
  signingKey: string;
  extensions: Buffer[];
}

function certificate({signingKey, ...parts}: CertificateParts): string {
  const version3 = explicit(0, integer(2));
  const algorithm = sequence(objectId(OID.ecdsaWithSha256));
  const signed = sequence(
    version3,
    integer(...serialNumber()),
    algorithm,
    parts.issuer,
    sequence(time(parts.notBefore), time(parts.notAfter)),
    parts.subject,
    parts.publicKey,
    explicit(3, sequence(...parts.extensions)),
  );
  const der = sequence(signed, algorithm, bitString(sign('sha256', signed, signingKey)));
  return new X509Certificate(der).toString();
}

function extension(id: string, value: Buffer, critical?: 'critical'): Buffer {
  const flags = critical === undefined ? [] : [isTrue];
  return sequence(objectId(id), ...flags, octetString(value));
}

const commonName = (name: string): Buffer =>
  sequence(set(sequence(objectId(OID.commonName), utf8String(name))));

const spkiOf = (pem: string): Buffer => createPublicKey(pem).export({type: 'spki', format: 'der'});

/** SHA-1 of the bits of the key: the first way of RFC 5280, 4.2.1.2. */
function keyIdentifier(spki: Buffer): Buffer {
  const [outer] = valuesIn(spki);
  const bits = valuesIn(outer?.content ?? spki)[1]?.content.subarray(1) ?? spki;
  return createHash('sha1').update(bits).digest();
}

/** Its name byte for byte: some verifiers compare nothing else. */
function readIssuer(pem: string): {subject: Buffer; publicKey: Buffer} {
  const {raw, publicKey} = new X509Certificate(pem);
  const signed = valuesIn(valuesIn(raw)[0]?.content ?? raw)[0];
  // version, serial number, algorithm, issuer, validity, subject
  const subject = valuesIn(signed?.content ?? raw)[5]?.whole ?? raw;
  return {subject, publicKey: publicKey.export({type: 'spki', format: 'der'})};
}

/** 128 random bits; positive, as RFC 5280 wants it. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}

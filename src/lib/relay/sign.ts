// Signs X.509 certificates that strict verifiers take (RFC 5280): with key identifiers, which OpenSSL's strict mode and
// so Python from 3.13 on ask for.

// The X.509 library wants it loaded before itself.
import 'reflect-metadata';
import type {KeyObject} from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PublicKey,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';
import {createPrivateKey, createPublicKey, randomBytes} from '../core/node-crypto.js';
import type {KeyPair} from './authority.js';

const CURVE = {name: 'ECDSA', namedCurve: 'P-256'};
const SIGNING = {name: 'ECDSA', hash: 'SHA-256'};
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
/** The most characters that a common name may have. */
const MAX_COMMON_NAME = 64;

interface Validity {
  notBefore: Date;
  notAfter: Date;
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
    serialNumber: serialNumber(),
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

/** A server's certificate for one DNS name. @param options.publicKey PEM. @returns PEM. */
export async function signLeaf(
  options: Validity & {name: string; ca: KeyPair; publicKey: string},
): Promise<string> {
  const {name, ca, publicKey, ...validity} = options;
  const issuer = new X509Certificate(ca.cert);
  const leafKey = rawPublicKey(createPublicKey(publicKey));
  const made = await X509CertificateGenerator.create({
    ...validity,
    serialNumber: serialNumber(),
    subject: `CN=${name.length > MAX_COMMON_NAME ? 'tunl' : name}`,
    issuer: issuer.subject,
    publicKey: leafKey,
    signingKey: await signingKey(createPrivateKey(ca.key)),
    signingAlgorithm: SIGNING,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([SERVER_AUTH]),
      new SubjectAlternativeNameExtension([{type: 'dns', value: name}]),
      await SubjectKeyIdentifierExtension.create(leafKey),
      await AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return `${made.toString('pem')}\n`;
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

/** 128 random bits; positive, as RFC 5280 wants it. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

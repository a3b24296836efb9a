// Certificates for tests: a test authority, its leaf certificates, self-signed ones, expired ones.
import {isIP} from 'node:net';
import {generate} from 'selfsigned';

export interface KeyAndCertificate {
  key: string;
  cert: string;
}

export interface LeafOptions {
  notBefore?: Date;
  notAfter?: Date;
  /** Default: an elliptic curve, like the relay's own certificates. */
  keyType?: 'rsa' | 'ec';
}

export interface Authority {
  /** PEM of the certificate to trust. */
  cert: string;
  /** A leaf for these names and addresses. */
  issue(names: readonly string[], options?: LeafOptions): Promise<KeyAndCertificate>;
}

const day = 24 * 3_600_000;
const ec = {keyType: 'ec', curve: 'P-256', algorithm: 'sha256'} as const;
const rsa = {keyType: 'rsa', keySize: 2048, algorithm: 'sha256'} as const;
const fromYesterday = () => new Date(Date.now() - day);

function altNames(names: readonly string[]): {type: 2 | 7; value?: string; ip?: string}[] {
  return names.map((name) => (isIP(name) === 0 ? {type: 2, value: name} : {type: 7, ip: name}));
}

export async function createAuthority(name = 'Test CA'): Promise<Authority> {
  const made = await generate([{name: 'commonName', value: name}], {
    ...ec,
    notBeforeDate: new Date(Date.now() - 30 * day),
    extensions: [
      {name: 'basicConstraints', cA: true, critical: true},
      {name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true},
    ],
  });
  const ca = {key: made.private, cert: made.cert};
  return {cert: made.cert, issue: (names, options = {}) => certificate(names, options, ca)};
}

export function selfSigned(names: readonly string[], options: LeafOptions = {}): Promise<KeyAndCertificate> {
  return certificate(names, options);
}

async function certificate(
  names: readonly string[],
  {notBefore = fromYesterday(), notAfter, keyType = 'ec'}: LeafOptions,
  ca?: KeyAndCertificate,
): Promise<KeyAndCertificate> {
  const made = await generate([{name: 'commonName', value: names[0] ?? 'nobody'}], {
    ...(keyType === 'ec' ? ec : rsa),
    notBeforeDate: notBefore,
    ...(notAfter !== undefined && {notAfterDate: notAfter}),
    ...(ca !== undefined && {ca}),
    extensions: [
      {name: 'basicConstraints', cA: false},
      {name: 'extKeyUsage', serverAuth: true},
      {name: 'subjectAltName', altNames: altNames(names)},
    ],
  });
  return {key: made.private, cert: made.cert};
}

/** Options of certificates that change and expire unnoticed. */
export const tellsNobody = {events: {emit: () => {}}, onWarnings: () => {}};

// Certificates and private keys from PEM files that a user named. An error names the file, and says what is in it instead.

import type {X509Certificate as Certificate, KeyObject} from 'node:crypto';
import {TunlError} from './errors.js';
import {createPrivateKey, X509Certificate} from './node-crypto.js';
import {shellWord} from './shell-word.js';
import {readTextFile} from './text-file.js';

/** @throws TunlError CERTIFICATE_INVALID */
export function parseCertificate(path: string, text: string, what = 'certificate'): Certificate {
  return parse({path, text, what}, () => new X509Certificate(text));
}

/** The text of a file with the certificates of authorities. @throws TunlError FILE_UNREADABLE, CERTIFICATE_INVALID */
export async function readCaFile(path: string): Promise<string> {
  const text = await readTextFile(path);
  // Node takes text without a certificate as an empty set, and the error would then blame the other side.
  parseCertificate(path, text, 'CA certificate');
  return text;
}

/** @throws TunlError CERTIFICATE_INVALID */
export function parsePrivateKey(path: string, text: string): KeyObject {
  if (/^-----BEGIN ENCRYPTED |^Proc-Type: 4,ENCRYPTED/m.test(text)) {
    throw new TunlError('CERTIFICATE_INVALID', {
      reason: `${path} is encrypted with a passphrase, and tunl cannot ask for it.`,
      next: `Write the key without the passphrase to a file that only this user can read: (umask 077; openssl pkey -in ${shellWord(path)} -out plain-key.pem)`,
    });
  }
  return parse({path, text, what: 'private key'}, () => createPrivateKey(text));
}

/** @throws TunlError CERTIFICATE_INVALID, also for what another reader of the text finds wrong with it */
export function parse<T>({path, text, what}: {path: string; text: string; what: string}, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    const {found, next} = lookAt(path, text, what);
    // The cause is OpenSSL's message about the file's format; it contains nothing of a key.
    throw new TunlError('CERTIFICATE_INVALID', {
      reason: `${path} contains no usable ${what}${found}.`,
      next,
      cause,
    });
  }
}

function lookAt(path: string, text: string, what: string): {found: string; next: string} {
  const wantsKey = what === 'private key';
  const [, label = ''] = /^-----BEGIN ([A-Z0-9 ]{1,40})-----/m.exec(text) ?? [];
  if (wantsKey && label === 'OPENSSH PRIVATE KEY') {
    return {found: ', but a key in the format of OpenSSH', next: 'Give a key for TLS: PEM (PKCS #8).'};
  }
  if (wantsKey ? label.endsWith('CERTIFICATE') : label.endsWith('PRIVATE KEY')) {
    const other = wantsKey ? 'a certificate' : 'a private key';
    return {found: `, but ${other}`, next: 'Check whether the certificate and its key are exchanged.'};
  }
  // U+FFFD stands for bytes that are not UTF-8, as in DER and PKCS #12.
  if (label === '' && /[\0\uFFFD]/.test(text)) {
    const file = shellWord(path);
    const der = wantsKey ? `openssl pkey -inform DER -in ${file}` : `openssl x509 -inform DER -in ${file}`;
    const p12 = `openssl pkcs12 -in ${file} ${wantsKey ? '-nocerts -noenc' : '-nokeys'}`;
    return {
      found: ': it is binary, and tunl reads PEM',
      next: `Convert it: \`${der} -out FILE.pem\` for DER, \`${p12} -out FILE.pem\` for .p12 and .pfx.`,
    };
  }
  return {
    found: '',
    next: wantsKey ? 'Give the private key as PEM.' : 'Give a PEM file; a chain has its leaf first.',
  };
}

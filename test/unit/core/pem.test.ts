// What the errors about certificates and keys say: the file, what is in it, and the next step.

import {createPrivateKey, X509Certificate} from 'node:crypto';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect} from 'vitest';
import {TunlError} from '../../../src/lib/core/errors.js';
import {parseCertificate, parsePrivateKey, readCaFile} from '../../../src/lib/core/pem.js';
import {selfSigned} from '../../helpers/certificates.js';
import {test} from '../../helpers/test.js';

function failure(read: () => unknown): TunlError {
  try {
    read();
  } catch (error) {
    if (error instanceof TunlError) return error;
  }
  return expect.fail('no TunlError');
}

/** Bytes that are read as text, as from a file. */
const asText = (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8');

test('a certificate and its key are read', async () => {
  const {cert, key} = await selfSigned(['localhost']);
  expect(parseCertificate('c.pem', cert).checkPrivateKey(parsePrivateKey('k.pem', key))).toBe(true);
});

test('a key with a passphrase, in both forms', async () => {
  const key = createPrivateKey((await selfSigned(['localhost'], {keyType: 'rsa'})).key);
  for (const type of ['pkcs8', 'pkcs1'] as const) {
    const text = key.export({format: 'pem', type, cipher: 'aes-256-cbc', passphrase: 'secret'}) as string;
    expect(failure(() => parsePrivateKey('my key.pem', text))).toMatchObject({
      code: 'CERTIFICATE_INVALID',
      message: 'my key.pem is encrypted with a passphrase, and tunl cannot ask for it.',
      next: expect.stringContaining("openssl pkey -in 'my key.pem' -out plain-key.pem"),
    });
  }
});

test('exchanged files', async () => {
  const {cert, key} = await selfSigned(['localhost']);
  const exchanged = {code: 'CERTIFICATE_INVALID', next: expect.stringContaining('exchanged')};
  const wrongKey = failure(() => parsePrivateKey('a.pem', cert));
  expect(wrongKey).toMatchObject({
    ...exchanged,
    message: 'a.pem contains no usable private key, but a certificate.',
  });
  const wrongCert = failure(() => parseCertificate('b.pem', key));
  expect(wrongCert).toMatchObject({
    ...exchanged,
    message: 'b.pem contains no usable certificate, but a private key.',
  });
});

test('binary files', async () => {
  const {cert, key} = await selfSigned(['localhost']);
  const der = asText(new X509Certificate(cert).raw);
  expect(failure(() => parseCertificate('c.der', der))).toMatchObject({
    message: 'c.der contains no usable certificate: it is binary, and tunl reads PEM.',
    next: expect.stringContaining('openssl x509 -inform DER -in c.der -out FILE.pem'),
  });
  const pkcs8 = asText(createPrivateKey(key).export({format: 'der', type: 'pkcs8'}));
  expect(failure(() => parsePrivateKey('k.der', pkcs8)).next).toContain('openssl pkey -inform DER -in k.der');
});

test('other text', () => {
  expect(failure(() => parsePrivateKey('k', 'no key')).message).toBe('k contains no usable private key.');
  expect(failure(() => parseCertificate('c', '')).message).toBe('c contains no usable certificate.');
  // Put together here, so that nothing that looks for keys in files takes it for one.
  const kind = ['OPENSSH', 'PRIVATE', 'KEY'].join(' ');
  const ssh = `-----BEGIN ${kind}-----\nb3BlbnNzaA==\n-----END ${kind}-----\n`;
  expect(failure(() => parsePrivateKey('id', ssh)).message).toContain('format of OpenSSH');
});

test('a CA file is checked when it is read', async ({scope}) => {
  const path = join(await scope.tempDir('ca'), 'ca.pem');
  await writeFile(path, 'nothing');
  await expect(readCaFile(path)).rejects.toMatchObject({
    code: 'CERTIFICATE_INVALID',
    message: `${path} contains no usable CA certificate.`,
  });
});

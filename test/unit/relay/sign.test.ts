// What the relay signs, read back by openssl, and its DER at the places where lengths and numbers change form.

import {execFile} from 'node:child_process';
import {generateKeyPairSync, X509Certificate} from 'node:crypto';
import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {promisify} from 'node:util';
import fc from 'fast-check';
import {expect, test} from 'vitest';
import {Authority} from '../../../src/lib/relay/authority.js';
import {objectId, tagged, time, valuesIn} from '../../../src/lib/relay/der.js';
import {signCa, signLeaf} from '../../../src/lib/relay/sign.js';
import {Scope} from '../../helpers/scope.js';

const run = promisify(execFile);

const newKey = () =>
  generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: {type: 'spki', format: 'pem'},
    privateKeyEncoding: {type: 'pkcs8', format: 'pem'},
  });

const days = (count: number) => new Date(Date.now() + count * 86_400_000);

test('a CA and a leaf have the extensions that RFC 5280 asks for, as openssl reads them', async () => {
  await using scope = new Scope();
  const folder = await scope.tempDir();
  const [caKey, leafKey] = [newKey(), newKey()];
  const ca = signCa({name: 'a test', key: caKey.privateKey, notBefore: days(-1), notAfter: days(20_000)});
  const name = `${'a'.repeat(63)}.r1.example.test`;
  const leaf = signLeaf({
    name,
    ca: {cert: ca, key: caKey.privateKey},
    publicKey: leafKey.publicKey,
    notBefore: days(-1),
    notAfter: days(90),
  });
  const [caFile, leafFile] = [join(folder, 'ca.pem'), join(folder, 'leaf.pem')];
  await writeFile(caFile, ca);
  await writeFile(leafFile, leaf);
  const verify = ['verify', '-x509_strict', '-purpose', 'sslserver', '-verify_hostname', name];
  expect((await run('openssl', [...verify, '-CAfile', caFile, leafFile])).stdout).toContain('OK');
  const text = async (file: string) =>
    (await run('openssl', ['x509', '-in', file, '-noout', '-text'])).stdout.replace(/\s+/g, ' ');
  const caText = await text(caFile);
  expect(caText).toContain('Basic Constraints: critical CA:TRUE, pathlen:0');
  expect(caText).toContain('Key Usage: critical Certificate Sign, CRL Sign');
  const leafText = await text(leafFile);
  expect(leafText).toContain('Basic Constraints: critical CA:FALSE');
  expect(leafText).toContain('Key Usage: critical Digital Signature');
  expect(leafText).toContain('Extended Key Usage: TLS Web Server Authentication');
  expect(leafText).toContain(`Subject Alternative Name: DNS:${name}`);
  const identifier = /Subject Key Identifier: ([0-9A-F:]+)/.exec(caText)?.[1];
  expect(leafText).toContain(`Authority Key Identifier: ${identifier}`);
  // Beyond 2049 the form of a date is another one.
  expect(new X509Certificate(ca).validToDate.getUTCFullYear()).toBeGreaterThan(2050);
  expect(new X509Certificate(leaf).serialNumber).not.toBe(new X509Certificate(ca).serialNumber);
});

test.each([
  ['printable', '/O=Some Company/CN=old CA'],
  ['utf8only', '/O=Früher/CN=old CA'],
])('a CA that was made elsewhere goes on being used, its name byte for byte: %s', async (mask, subject) => {
  await using scope = new Scope();
  const folder = await scope.tempDir();
  const {privateKey} = newKey();
  await mkdir(join(folder, 'ca'));
  const keyFile = join(folder, 'key.pem');
  const config = join(folder, 'openssl.cnf');
  await writeFile(keyFile, privateKey);
  await writeFile(
    config,
    `[req]\nstring_mask=${mask === 'printable' ? 'default' : mask}\ndistinguished_name=dn\n[dn]\n`,
  );
  const words = [
    'req',
    '-config',
    config,
    '-utf8',
    '-x509',
    '-key',
    keyFile,
    '-subj',
    subject,
    '-days',
    '30',
  ];
  const extensions = [
    'basicConstraints=critical,CA:TRUE',
    'subjectKeyIdentifier=hash',
    'keyUsage=keyCertSign',
  ];
  const {stdout} = await run('openssl', [...words, ...extensions.flatMap((each) => ['-addext', each])]);
  await writeFile(join(folder, 'ca', 'tunl-ca.key'), privateKey + stdout);
  const authority = await Authority.open(folder);
  const leafFile = join(folder, 'leaf.pem');
  await writeFile(leafFile, authority.sign('demo.r1.localhost').cert);
  const verified = await run('openssl', ['verify', '-x509_strict', '-CAfile', authority.caFile, leafFile]);
  expect(verified.stdout).toContain('OK');
});

test('lengths are read as they were written', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({max: 70_000}), {maxLength: 4}), (lengths) => {
      const bytes = Buffer.concat(lengths.map((length) => tagged(0x04, Buffer.alloc(length, 7))));
      expect(valuesIn(bytes).map((each) => each.content.length)).toEqual(lengths);
    }),
    {numRuns: 50},
  );
});

test('object identifiers and dates as the standards’ examples have them', () => {
  expect(objectId('1.2.840.113549').toString('hex')).toBe('06062a864886f70d');
  expect(objectId('2.5.29.17').toString('hex')).toBe('0603551d11');
  expect(time(new Date('2049-12-31T23:59:59Z')).toString('latin1').slice(2)).toBe('491231235959Z');
  expect(time(new Date('2050-01-01T00:00:00Z')).toString('latin1').slice(2)).toBe('20500101000000Z');
});

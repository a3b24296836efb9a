// Certificates of the relay, judged by openssl and by TLS itself.

import {execFile} from 'node:child_process';
import {X509Certificate} from 'node:crypto';
import {once} from 'node:events';
import {chmod, readFile, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {connect, createServer, type PeerCertificate} from 'node:tls';
import {promisify} from 'node:util';
import {expect, test} from 'vitest';
import {createLogger, type LogRecord} from '../../../src/lib/core/logger.js';
import {Authority} from '../../../src/lib/relay/authority.js';
import {openCertificates} from '../../../src/lib/relay/certificates.js';
import {ensureCa, trustInstructions} from '../../../src/lib/relay/trust.js';
import {selfSigned} from '../../helpers/certificates.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {Scope} from '../../helpers/scope.js';

const run = promisify(execFile);
const silent = createLogger('test', undefined);

test('leaves of the private CA: one name each, P-256, verified by openssl', async () => {
  await using scope = new Scope();
  const folder = await scope.tempDir();
  const authority = await Authority.open(folder);
  const leaf = await authority.sign('demo.r1.localhost');
  const path = join(folder, 'leaf.pem');
  await writeFile(path, leaf.cert);
  const verified = await run('openssl', ['verify', '-x509_strict', '-CAfile', authority.caFile, path]);
  expect(verified.stdout).toContain('OK');
  const parsed = new X509Certificate(leaf.cert);
  expect(parsed.subjectAltName).toBe('DNS:demo.r1.localhost');
  expect(parsed.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
  expect(parsed.ca).toBe(false);
  expect(parsed.checkHost('other.r1.localhost')).toBeUndefined();
  expect(new X509Certificate(await readFile(authority.caFile)).ca).toBe(true);
});

test('two names get two certificates, a name keeps its own', async () => {
  await using scope = new Scope();
  const source = await openCertificates({
    domain: 'r1.localhost',
    certFile: undefined,
    keyFile: undefined,
    stateDir: await scope.tempDir(),
    clock: new ManualClock(),
    log: silent,
  });
  const [a, again, b] = await Promise.all(
    ['a', 'a', 'b'].map((name) => source.contextFor(`${name}.r1.localhost`)),
  );
  expect(a).toBe(again);
  expect(a).not.toBe(b);
  expect(await source.contextFor('a.r1.localhost')).toBe(a);
  const server = createServer({
    SNICallback: (name, done) => Promise.resolve(source.contextFor(name)).then((c) => done(null, c), done),
  });
  const port = await scope.listen(server);
  const ca = await readFile(source.caFile as string, 'utf8');
  const seen = async (servername: string): Promise<PeerCertificate> => {
    const socket = connect({host: '127.0.0.1', port, servername, ca});
    await once(socket, 'secureConnect');
    const certificate = socket.getPeerCertificate();
    socket.destroy();
    return certificate;
  };
  const [ofA, ofB] = [await seen('a.r1.localhost'), await seen('b.r1.localhost')];
  expect(ofA.subjectaltname).toBe('DNS:a.r1.localhost');
  expect(ofB.serialNumber).not.toBe(ofA.serialNumber);
});

test('a CA is made once, also by two that start at the same moment, and its key is private', async () => {
  await using scope = new Scope();
  const folder = await scope.tempDir();
  const [one, two] = await Promise.all([Authority.open(folder), Authority.open(folder)]);
  const [leafOne, leafTwo] = [await one.sign('a.localhost'), await two.sign('a.localhost')];
  const ca = new X509Certificate(await readFile(one.caFile));
  for (const {cert} of [leafOne, leafTwo]) expect(new X509Certificate(cert).verify(ca.publicKey)).toBe(true);
  expect((await stat(join(folder, 'ca', 'tunl-ca.key'))).mode & 0o777).toBe(0o600);
  expect((await stat(join(folder, 'ca', 'leaf.key'))).mode & 0o777).toBe(0o600);
  expect(await ensureCa(folder)).toBe(one.caFile);
  expect(trustInstructions(one.caFile)).toContain(`curl --cacert ${one.caFile}`);
});

test('the relay’s own leaf is kept, and signed anew when it is not this CA’s', async () => {
  await using scope = new Scope();
  const folder = await scope.tempDir();
  const authority = await Authority.open(folder);
  const first = await authority.signOnce('r1.localhost');
  expect((await (await Authority.open(folder)).signOnce('r1.localhost')).cert).toBe(first.cert);
  await writeFile(join(folder, 'ca', 'r1.localhost.pem'), (await selfSigned(['r1.localhost'])).cert);
  const fresh = await authority.signOnce('r1.localhost');
  expect(
    new X509Certificate(fresh.cert).verify(new X509Certificate(await readFile(authority.caFile)).publicKey),
  ).toBe(true);
});

test('a CA file that is no CA is an error that says what to do', async () => {
  await using scope = new Scope();
  const folder = await scope.tempDir();
  await Authority.open(folder);
  await writeFile(join(folder, 'ca', 'tunl-ca.key'), 'nothing');
  await expect(Authority.open(folder)).rejects.toMatchObject({code: 'STATE_DIR'});
});

test('given certificates: unreadable, broken and mismatched files are refused by name, a narrow one is spoken of', async () => {
  await using scope = new Scope();
  const folder = await scope.tempDir();
  const [mine, other] = [await selfSigned(['r1.localhost']), await selfSigned(['r1.localhost'])];
  const put = async (name: string, text: string) => {
    const path = join(folder, name);
    await writeFile(path, text);
    return path;
  };
  const certFile = await put('cert.pem', mine.cert);
  const keyFile = await put('key.pem', mine.key);
  const records: LogRecord[] = [];
  const open = (files: {certFile?: string; keyFile?: string}) =>
    openCertificates({
      domain: 'r1.localhost',
      stateDir: folder,
      clock: new ManualClock(),
      log: createLogger('relay', (each) => records.push(each)),
      ...{certFile, keyFile, ...files},
    });
  await expect(open({certFile: join(folder, 'none')})).rejects.toMatchObject({code: 'FILE_UNREADABLE'});
  await expect(open({certFile: await put('junk', 'junk')})).rejects.toMatchObject({
    code: 'CERTIFICATE_INVALID',
  });
  await expect(open({keyFile: await put('junk.key', 'junk')})).rejects.toMatchObject({
    code: 'CERTIFICATE_INVALID',
  });
  await expect(open({keyFile: await put('other.key', other.key)})).rejects.toMatchObject({
    code: 'KEY_MISMATCH',
  });
  const source = await open({});
  expect(source.caFile).toBeUndefined();
  expect(records.map((each) => each.fields?.name)).toContain('anything.r1.localhost');
  await chmod(keyFile, 0o600);
});

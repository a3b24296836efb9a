// Certificates of the relay, checked by openssl and by TLS itself.

import {execFile} from 'node:child_process';
import {X509Certificate} from 'node:crypto';
import {once} from 'node:events';
import {chmod, readFile, rename, rm, stat, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {connect, createServer, type PeerCertificate} from 'node:tls';
import {promisify} from 'node:util';
import 'reflect-metadata';
import * as library from '@peculiar/x509';
import {afterEach, describe, expect, test, vi} from 'vitest';
import {createLogger, type LogRecord} from '../../../../src/lib/core/logger.js';
import {Authority} from '../../../../src/lib/relay/certificates/authority.js';
import {openCertificates} from '../../../../src/lib/relay/certificates/certificates.js';
import {ensureCa, trustInstructions} from '../../../../src/lib/relay/certificates/install-ca.js';
import {startRelay} from '../../../../src/lib/relay/start.js';
import {selfSigned, tellsNobody} from '../../../helpers/certificates.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import {atMost} from '../../../helpers/metric.js';
import {Scope} from '../../../helpers/scope.js';

const run = promisify(execFile);
const silent = createLogger('test', undefined);
const DAY_MS = 86_400_000;
const YEAR_MS = 365.25 * DAY_MS;

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test('leaf certificates of the private CA: one name each, P-256, verified by openssl', async () => {
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

test.each(['192.168.1.20', 'fd00::2', '2001:db8:0:1::', '1:2:3:4:5:6:7:8'])(
  'a leaf for the address %s is for that address only, and is kept',
  async (address) => {
    await using scope = new Scope();
    const stateDir = await scope.tempDir();
    const authority = await Authority.open(stateDir);
    const leaf = await authority.signOnce(address, silent);
    const parsed = new X509Certificate(leaf.cert);
    expect(parsed.subjectAltName).toMatch(/^IP Address:[^,]+$/);
    expect(parsed.checkIP(address)).toBeDefined();
    expect(parsed.checkIP('192.168.1.21')).toBeUndefined();
    expect((await (await Authority.open(stateDir)).signOnce(address, silent)).cert).toBe(leaf.cert);
  },
);

test('two names get two certificates, and a name keeps its certificate', async () => {
  await using scope = new Scope();
  const source = await openCertificates({
    domain: 'r1.localhost',
    certFile: undefined,
    keyFile: undefined,
    stateDir: await scope.tempDir(),
    clock: new ManualClock(),
    log: silent,
    ...tellsNobody,
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

test('a CA is made once, also by two processes at the same moment, and its key is private', async () => {
  await using scope = new Scope();
  const folder = await scope.tempDir();
  const [one, two] = await Promise.all([Authority.open(folder), Authority.open(folder)]);
  const [leafOne, leafTwo] = [await one.sign('a.localhost'), await two.sign('a.localhost')];
  const ca = new X509Certificate(await readFile(one.caFile));
  for (const {cert} of [leafOne, leafTwo]) expect(new X509Certificate(cert).verify(ca.publicKey)).toBe(true);
  expect((await stat(join(folder, 'ca', 'tunl-ca.key'))).mode & 0o777).toBe(0o600);
  expect((await stat(join(folder, 'ca', 'leaf.key'))).mode & 0o777).toBe(0o600);
  expect(await ensureCa(folder)).toBe(one.caFile);
  expect(trustInstructions(one.caFile, {all: true, store: undefined})).toContain(
    `curl --cacert ${one.caFile}`,
  );
});

test('the relay’s own leaf is kept, and signed again when it is not from this CA', async () => {
  await using scope = new Scope();
  const folder = await scope.tempDir();
  const authority = await Authority.open(folder);
  const first = await authority.signOnce('r1.localhost', silent);
  expect((await (await Authority.open(folder)).signOnce('r1.localhost', silent)).cert).toBe(first.cert);
  await writeFile(join(folder, 'ca', 'r1.localhost.pem'), (await selfSigned(['r1.localhost'])).cert);
  const fresh = await authority.signOnce('r1.localhost', silent);
  expect(
    new X509Certificate(fresh.cert).verify(new X509Certificate(await readFile(authority.caFile)).publicKey),
  ).toBe(true);
});

test('an invalid CA file is an error that says what to do', async () => {
  await using scope = new Scope();
  const folder = await scope.tempDir();
  await Authority.open(folder);
  await writeFile(join(folder, 'ca', 'tunl-ca.key'), 'nothing');
  await expect(Authority.open(folder)).rejects.toMatchObject({code: 'STATE_DIR'});
});

test('given certificates: unreadable, broken and mismatched files are refused by name, a certificate for too few names gives a warning', async () => {
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
      ...tellsNobody,
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

const openOwn = (stateDir: string, log = silent) =>
  openCertificates({
    domain: 'r1.localhost',
    certFile: undefined,
    keyFile: undefined,
    stateDir,
    clock: new ManualClock(),
    log,
    ...tellsNobody,
  });

const realNow = Date.now;
/** Sets the clock of this test. */
const setClock = (offsetMs: number) => {
  const now = realNow() + offsetMs;
  vi.useFakeTimers({toFake: ['Date'], now});
  return now;
};

describe('when leaves are to be renewed', () => {
  const openWithLog = async (scope: Scope) => {
    const folder = await scope.tempDir();
    const records: LogRecord[] = [];
    setClock(0);
    const source = await openOwn(
      folder,
      createLogger('relay', (each) => records.push(each)),
    );
    return {folder, source, records, before: await source.contextFor('r1.localhost')};
  };

  test('and the folder cannot be written, they are renewed all the same, and one warning says so', async () => {
    await using scope = new Scope();
    const {folder, source, records, before} = await openWithLog(scope);
    await rm(join(folder, 'ca'), {recursive: true});
    setClock(61 * DAY_MS);
    const renewed = await source.contextFor('r1.localhost');
    expect(renewed).not.toBe(before);
    expect(await source.contextFor('r1.localhost')).toBe(renewed);
    await source.contextFor('localhost');
    expect(records).toMatchObject([
      {
        level: 'warn',
        message: expect.stringContaining('cannot be kept'),
        fields: {name: 'r1.localhost', reason: expect.stringContaining('ENOENT')},
      },
    ]);
  });

  test('and no new one can be made, the old one serves until its end, and one warning says so', async () => {
    await using scope = new Scope();
    const {folder, source, records, before} = await openWithLog(scope);
    // A file that others can change is not believed.
    await chmod(join(folder, 'ca/r1.localhost.pem'), 0o666);
    setClock(61 * DAY_MS);
    for (const _ of [1, 2]) expect(await source.contextFor('r1.localhost')).toBe(before);
    expect(await source.contextForProbe('r1.localhost')).toBe(before);
    expect(records).toMatchObject([{level: 'warn', message: expect.stringContaining('until its end')}]);
    setClock(91 * DAY_MS);
    await expect(source.contextFor('r1.localhost')).rejects.toMatchObject({code: 'STATE_DIR'});
    await chmod(join(folder, 'ca/r1.localhost.pem'), 0o644);
    expect(await source.contextFor('r1.localhost')).not.toBe(before);
  });
});

describe('a clock that was wrong', () => {
  test.each([
    ['70 days ahead', 70 * DAY_MS],
    ['20 years ahead', 20 * YEAR_MS],
    ['10 years behind', -10 * YEAR_MS],
  ])('%s when the CA was made: the error says what to do, and that works', async (_what, offset) => {
    await using scope = new Scope();
    const folder = await scope.tempDir();
    setClock(offset);
    await openOwn(folder);
    setClock(0);
    const failed: unknown = await openOwn(folder).catch((error: unknown) => error);
    expect(failed).toMatchObject({
      code: 'STATE_DIR',
      message: expect.stringContaining(join(folder, 'ca', 'tunl-ca.key')),
      next: expect.stringContaining(`Move ${join(folder, 'ca')} away`),
    });
    await expect(ensureCa(folder)).rejects.toMatchObject({code: 'STATE_DIR'});
    await rename(join(folder, 'ca'), join(folder, 'old'));
    await openOwn(folder);
  });

  test.each([
    ['ahead', 70 * DAY_MS],
    ['behind', -70 * DAY_MS],
  ])(
    '%s when leaves were made: new ones are made when it is right again, in memory and on disk',
    async (_what, offset) => {
      await using scope = new Scope();
      const folder = await scope.tempDir();
      setClock(-100 * DAY_MS);
      const source = await openOwn(folder);
      setClock(offset);
      const names = ['a.r1.localhost', 'r1.localhost'];
      const wrong = await Promise.all(names.map((name) => source.contextFor(name)));
      const now = setClock(0);
      const right = await Promise.all(names.map((name) => source.contextFor(name)));
      for (const i of [0, 1]) expect(right[i]).not.toBe(wrong[i]);
      // A relay that starts then finds nothing wrong either.
      const kept = new X509Certificate(await readFile(join(folder, 'ca', 'r1.localhost.pem')));
      expect(Date.parse(kept.validFrom)).toBeLessThan(now);
      expect(Date.parse(kept.validTo)).toBeGreaterThan(now + 60 * DAY_MS);
      for (const [i, name] of names.entries()) expect(await source.contextFor(name)).toBe(right[i]);
    },
  );

  test('so wrong that the CA is not valid: the certificates stay, because no new one could be better', async () => {
    await using scope = new Scope();
    setClock(0);
    const source = await openOwn(await scope.tempDir());
    const before = await source.contextFor('a.r1.localhost');
    for (const offset of [-10 * YEAR_MS, 20 * YEAR_MS, 0]) {
      setClock(offset);
      expect(await source.contextFor('a.r1.localhost')).toBe(before);
    }
  });

  test('a leaf begins a little before now and never ends after its CA, whose end gives a warning', async () => {
    await using scope = new Scope();
    const folder = await scope.tempDir();
    const made = setClock(0);
    const authority = await Authority.open(folder);
    const first = await authority.sign('a.r1.localhost');
    expect(first.validFrom).toBeGreaterThanOrEqual(made - 2 * DAY_MS);
    expect(first.validFrom).toBeLessThanOrEqual(made - 3_600_000);
    const ca = new X509Certificate(await readFile(authority.caFile));
    expect(first.validFrom).toBeGreaterThanOrEqual(Date.parse(ca.validFrom));
    const records: LogRecord[] = [];
    const log = createLogger('relay', (each) => records.push(each));
    setClock(30 * DAY_MS);
    await openOwn(folder, log);
    expect(records).toEqual([]);
    setClock(authority.expiresAt - 10 * DAY_MS - realNow());
    const source = await openOwn(folder, log);
    expect(records).toMatchObject([{level: 'warn', message: expect.stringContaining('CA expires soon')}]);
    const last = await authority.sign('b.r1.localhost');
    expect(last.expiresAt).toBe(authority.expiresAt);
    expect(new X509Certificate(last.cert).validTo).toBe(ca.validTo);
    // It is as good as any: not every handshake signs.
    const context = await source.contextFor('b.r1.localhost');
    expect(await source.contextFor('b.r1.localhost')).toBe(context);
  });
});

test('with more names than contexts no name is signed twice', async () => {
  await using scope = new Scope();
  const source = await openOwn(await scope.tempDir());
  const sign = vi.spyOn(Authority.prototype, 'sign');
  const names = Array.from({length: 2_200}, (_, i) => `n${i}.r1.localhost`);
  const since = performance.now();
  const first = await source.contextFor('n0.r1.localhost');
  for (const name of names) await source.contextFor(name);
  const ms = performance.now() - since;
  expect(await source.contextFor('n0.r1.localhost')).not.toBe(first);
  expect(sign).toHaveBeenCalledTimes(names.length);
  atMost('own CA', 'ms for a new name', ms / names.length, 3);
});

test('another library can read a leaf, and its extensions are in order', async () => {
  await using scope = new Scope();
  const folder = await scope.tempDir();
  const authority = await Authority.open(folder);
  for (const name of ['demo.r1.localhost', `${'x'.repeat(63)}.${'y'.repeat(63)}.r1.localhost`]) {
    const {cert} = await authority.sign(name);
    const parsed = new library.X509Certificate(cert);
    expect(parsed.subject).toBe(name.length > 64 ? 'CN=tunl' : `CN=${name}`);
    expect(parsed.extensions.map(({type, critical}) => [type, critical])).toEqual([
      ['2.5.29.19', true],
      ['2.5.29.15', true],
      ['2.5.29.37', false],
      ['2.5.29.14', false],
      ['2.5.29.35', false],
      ['2.5.29.17', false],
    ]);
    const path = join(folder, 'leaf.pem');
    await writeFile(path, cert);
    const {stdout} = await run('openssl', ['verify', '-x509_strict', '-CAfile', authority.caFile, path]);
    expect(stdout).toContain('OK');
  }
});

test('another library can read the CA, and a leaf names the key and the subject of its CA', async () => {
  await using scope = new Scope();
  const authority = await Authority.open(await scope.tempDir());
  const ca = new library.X509Certificate(authority.ca);
  const leaf = new library.X509Certificate((await authority.sign('demo.r1.localhost')).cert);
  expect(ca.subject).toMatch(/^CN=tunl private CA [0-9a-f]{8}$/);
  expect(ca.issuer).toBe(ca.subject);
  expect(await ca.verify()).toBe(true);
  expect(ca.extensions.map(({type, critical}) => [type, critical])).toEqual([
    ['2.5.29.19', true],
    ['2.5.29.15', true],
    ['2.5.29.14', false],
    ['2.5.29.35', false],
  ]);
  const {BasicConstraintsExtension, KeyUsagesExtension, KeyUsageFlags} = library;
  expect(ca.getExtension(BasicConstraintsExtension)).toMatchObject({ca: true, pathLength: 0});
  expect(leaf.getExtension(BasicConstraintsExtension)).toMatchObject({ca: false});
  const usages = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign;
  expect(ca.getExtension(KeyUsagesExtension)?.usages).toBe(usages);
  expect(leaf.getExtension(KeyUsagesExtension)?.usages).toBe(KeyUsageFlags.digitalSignature);
  // The identifiers are those that the library would write itself.
  for (const {owner, issuer} of [
    {owner: ca, issuer: ca},
    {owner: leaf, issuer: ca},
  ]) {
    const subject = await library.SubjectKeyIdentifierExtension.create(owner.publicKey);
    const authorities = await library.AuthorityKeyIdentifierExtension.create(issuer.publicKey);
    expect(owner.getExtension('2.5.29.14')?.rawData).toEqual(subject.rawData);
    expect(owner.getExtension('2.5.29.35')?.rawData).toEqual(authorities.rawData);
    expect(Buffer.from(owner.issuerName.toArrayBuffer())).toEqual(
      Buffer.from(issuer.subjectName.toArrayBuffer()),
    );
  }
});

test('requests for unknown names make the relay sign nothing', async () => {
  await using scope = new Scope();
  const sign = vi.spyOn(Authority.prototype, 'sign');
  const relay = scope.own(await startRelay({domain: 'r1.localhost', stateDir: await scope.tempDir()}));
  sign.mockClear();
  for (const name of ['nobody.r1.localhost', 'a.b.r1.localhost', 'example.net', 'r1.localhost']) {
    const socket = connect({
      host: '127.0.0.1',
      port: relay.address.port,
      servername: name,
      rejectUnauthorized: false,
    });
    await once(socket, 'secureConnect').catch(() => {});
    socket.destroy();
  }
  expect(sign).not.toHaveBeenCalled();
});

// Certificates from files that others renew: read again when they change, and never replaced by worse ones.

import {createPrivateKey, X509Certificate} from 'node:crypto';
import {readFile, rm, stat, symlink, utimes, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect, test, vi} from 'vitest';
import {createLogger, type LogRecord} from '../../../../src/lib/core/logger.js';
import {GivenCertificate} from '../../../../src/lib/relay/certificates/given-certificate.js';
import type {RelayEvent} from '../../../../src/lib/relay/events.js';
import {selfSigned, tellsNobody} from '../../../helpers/certificates.js';
import {eventually} from '../../../helpers/eventually.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import {Scope} from '../../../helpers/scope.js';

/** Longer than the relay's time between two checks of the files. */
const LONG_ENOUGH_MS = 60_000;
const NAME = 'demo.r1.localhost';

async function setUp(scope: Scope) {
  const folder = await scope.tempDir();
  const [certFile, keyFile] = [join(folder, 'fullchain.pem'), join(folder, 'privkey.pem')];
  let generation = 0;
  /** Like certbot: new files, and links to them. */
  const renew = async (change: {cert?: string; key?: string} = {}) => {
    const pair = {...(await selfSigned(['r1.localhost', '*.r1.localhost'])), ...change};
    generation += 1;
    for (const [link, text] of [
      [certFile, pair.cert],
      [keyFile, pair.key],
    ] as const) {
      await writeFile(`${link}.${generation}`, text);
      await rm(link, {force: true});
      await symlink(`${link}.${generation}`, link);
    }
  };
  await renew();
  const clock = new ManualClock();
  const records: LogRecord[] = [];
  const heard = new Set<() => void>();
  const log = createLogger('relay', (record) => {
    records.push(record);
    for (const each of heard) each();
  });
  const events: RelayEvent[] = [];
  const tell = () => {
    for (const each of heard) each();
  };
  const source = await GivenCertificate.open({
    ...{certFile, keyFile, domain: 'r1.localhost', clock, log},
    events: {emit: (event) => void events.push(event)},
    onWarnings: tell,
  });
  /** Lets the relay check the files; resolves when it has logged a result. */
  const look = async () => {
    const before = records.length;
    const said = new Promise<void>((resolve) => heard.add(resolve));
    clock.advance(LONG_ENOUGH_MS);
    await said;
    return records.slice(before);
  };
  return {source, renew, clock, records, events, heard, look, certFile, keyFile};
}

test('a renewed certificate is used after the next check, without a signal', async () => {
  await using scope = new Scope();
  const {source, renew, look} = await setUp(scope);
  const first = source.contextFor(NAME);
  expect(source.contextFor(NAME)).toBe(first);
  await renew();
  expect(await look()).toMatchObject([{level: 'info', message: 'the certificate was read again'}]);
  const second = source.contextFor(NAME);
  expect(second).not.toBe(first);
  await renew();
  await source.reload();
  expect(source.contextFor(NAME)).not.toBe(second);
  source.close();
});

test.each([
  ['CERTIFICATE_INVALID', {cert: 'half a certificate'}],
  ['CERTIFICATE_INVALID', {key: ''}],
  ['KEY_MISMATCH', async () => ({key: (await selfSigned(['r1.localhost'])).key})],
] as const)(
  '%s: the old one stays, the log says why, and a good pair is taken later',
  async (code, change) => {
    await using scope = new Scope();
    const {source, renew, look} = await setUp(scope);
    const first = source.contextFor(NAME);
    await renew(typeof change === 'function' ? await change() : change);
    expect(await look()).toMatchObject([{level: 'error', fields: {code}}]);
    expect(source.contextFor(NAME)).toBe(first);
    await renew();
    expect(await look()).toMatchObject([{level: 'info'}]);
    expect(source.contextFor(NAME)).not.toBe(first);
    source.close();
  },
);

test('missing files are reported once, not at every check', async () => {
  await using scope = new Scope();
  const {source, renew, look, keyFile, records, clock} = await setUp(scope);
  await rm(keyFile);
  expect(await look()).toMatchObject([{level: 'error', fields: {code: 'FILE_UNREADABLE'}}]);
  const said = records.length;
  clock.advance(LONG_ENOUGH_MS);
  await renew();
  expect(await look()).toMatchObject([{level: 'info'}]);
  expect(records.length).toBe(said + 1);
  source.close();
  expect(clock.pending).toBe(0);
});

test('a pair that could not be used is tried again while its files stay the same, and reported once', async () => {
  await using scope = new Scope();
  const {source, renew, look, clock, records} = await setUp(scope);
  const first = source.contextFor(NAME);
  const matches = vi.spyOn(X509Certificate.prototype, 'checkPrivateKey');
  scope.onEnd(() => matches.mockRestore());
  matches.mockReturnValueOnce(false).mockReturnValueOnce(false);
  await renew();
  expect(await look()).toMatchObject([{level: 'error', fields: {code: 'KEY_MISMATCH'}}]);
  const said = records.length;
  /** The next check is due. */
  const isWaiting = () => eventually(() => expect(clock.pending).toBe(1));
  await isWaiting();
  clock.advance(LONG_ENOUGH_MS);
  await isWaiting();
  expect([matches.mock.calls.length, records.length]).toEqual([2, said]);
  expect(await look()).toMatchObject([{level: 'info'}]);
  expect(source.contextFor(NAME)).not.toBe(first);
  source.close();
});

test('a file that changes in place, with the size and time of before, is read again', async () => {
  await using scope = new Scope();
  const {source, renew, look, certFile} = await setUp(scope);
  const first = source.contextFor(NAME);
  await renew();
  const [text, {atime, mtime}] = [await readFile(certFile), await stat(certFile)];
  await writeFile(certFile, text.toString().replaceAll('CERTIFICATE', 'certificate'));
  await utimes(certFile, atime, mtime);
  expect(await look()).toMatchObject([{level: 'error', fields: {code: 'CERTIFICATE_INVALID'}}]);
  await writeFile(certFile, text);
  await utimes(certFile, atime, mtime);
  expect(await look()).toMatchObject([{level: 'info'}]);
  expect(source.contextFor(NAME)).not.toBe(first);
  source.close();
});

test.each([
  ['has expired', {notBefore: new Date(0), notAfter: new Date(1_000_000)}],
  ['is not valid yet', {notBefore: new Date('2100-01-01'), notAfter: new Date('2100-02-01')}],
])('a certificate that %s is used, with a warning', async (what, validity) => {
  await using scope = new Scope();
  const {source, renew, look} = await setUp(scope);
  await renew(await selfSigned(['r1.localhost', '*.r1.localhost'], validity));
  const [warning] = await look();
  expect(warning).toMatchObject({level: 'warn', message: expect.stringContaining(what)});
  source.close();
});

test('a certificate that expires while it is used is told once, at that time, and a renewed one may expire again', async () => {
  await using scope = new Scope();
  vi.useFakeTimers({toFake: ['Date']});
  scope.onEnd(() => void vi.useRealTimers());
  const {source, renew, clock, events, heard, certFile} = await setUp(scope);
  const soon = new Date(Date.now() + 30_000);
  await renew(await selfSigned(['r1.localhost', '*.r1.localhost'], {notAfter: soon}));
  await source.reload();
  expect(source.warningOf(NAME)).toBeUndefined();
  const told = new Promise<void>((resolve) => heard.add(resolve));
  // The next check would come much later.
  clock.advance(LONG_ENOUGH_MS);
  vi.setSystemTime(Date.parse(soon.toISOString()) + 1_000);
  clock.advance(LONG_ENOUGH_MS / 2);
  await told;
  expect(events).toEqual([{type: 'certificate-expired', certFile, validTo: expect.any(String)}]);
  expect(source.warningOf(NAME)).toContain('has expired');
  source.close();
});

test('the error for a key with a passphrase says so', async () => {
  await using scope = new Scope();
  const {certFile, keyFile} = await setUp(scope);
  const key = createPrivateKey(await readFile(keyFile, 'utf8'));
  const locked = {format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'x'} as const;
  await rm(keyFile);
  await writeFile(keyFile, key.export(locked));
  const log = createLogger('relay', undefined);
  const options = {certFile, keyFile, domain: 'r1.localhost', clock: new ManualClock(), log, ...tellsNobody};
  await expect(GivenCertificate.open(options)).rejects.toMatchObject({
    code: 'CERTIFICATE_INVALID',
    message: expect.stringContaining(`${keyFile} is encrypted with a passphrase`),
    next: expect.stringContaining(`openssl pkey -in ${keyFile}`),
  });
});

test('a certificate for all names is not asked for each of them, and is for nothing else', async () => {
  await using scope = new Scope();
  const {source, renew} = await setUp(scope);
  const asked = vi.spyOn(X509Certificate.prototype, 'checkHost');
  scope.onEnd(() => asked.mockRestore());
  for (let i = 0; i < 100; i += 1) expect(source.warningOf(`n${i}.r1.localhost`)).toBeUndefined();
  expect(asked).not.toHaveBeenCalled();
  for (const name of ['a.b.r1.localhost', 'demo.r2.localhost', 'demo-r1.localhost'])
    expect(source.warningOf(name), name).toMatch(/is for other names/);
  await renew(await selfSigned(['r1.localhost', 'demo.r1.localhost']));
  await source.reload();
  expect(source.warningOf(NAME)).toBeUndefined();
  expect(source.warningOf('other.r1.localhost')).toMatch(/is for other names/);
  source.close();
});

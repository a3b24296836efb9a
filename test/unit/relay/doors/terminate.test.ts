// From the first byte to a secure socket, with real clients: the ClientHello is read, the certificate is found, TLS ends
// here.

import {once} from 'node:events';
import {readFile, writeFile} from 'node:fs/promises';
import {createServer, type Socket, connect as tcpConnect} from 'node:net';
import {join} from 'node:path';
import {type ConnectionOptions, connect, type SecureContext, type TLSSocket} from 'node:tls';
import {afterEach, describe, expect, vi} from 'vitest';
import {ClientHelloReader} from '../../../../src/lib/bytes/client-hello.js';
import {createLogger} from '../../../../src/lib/core/logger.js';
import {PROBE_PROTOCOL} from '../../../../src/lib/protocol/probe.js';
import {
  type CertificateSource,
  openCertificates,
} from '../../../../src/lib/relay/certificates/certificates.js';
import {terminateTls} from '../../../../src/lib/relay/doors/terminate.js';
import {selfSigned, tellsNobody} from '../../../helpers/certificates.js';
import {run} from '../../../helpers/child.js';
import {ManualClock} from '../../../helpers/manual-clock.js';
import type {Scope} from '../../../helpers/scope.js';
import {test} from '../../../helpers/test.js';

const A = 'a.r1.localhost';
const B = 'b.r1.localhost';
const DAY_MS = 86_400_000;

afterEach(() => void vi.useRealTimers());

function openSource(stateDir: string, clock: ManualClock, given?: Given): Promise<CertificateSource> {
  return openCertificates({
    domain: 'r1.localhost',
    certFile: given?.certFile,
    keyFile: given?.keyFile,
    stateDir,
    clock,
    log: createLogger('test', undefined),
    ...tellsNobody,
  });
}

interface Given {
  certFile: string;
  keyFile: string;
}

/** Files with one RSA certificate for all names. */
async function giveCertificate(scope: Scope): Promise<Given> {
  const folder = await scope.tempDir();
  const files = {certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem')};
  const made = await selfSigned(['r1.localhost', '*.r1.localhost'], {keyType: 'rsa'});
  await writeFile(files.certFile, made.cert);
  await writeFile(files.keyFile, made.key);
  return files;
}

interface Fixture {
  source: CertificateSource;
  caFile: string;
  port: number;
  /** The error of the first secure connection that broke. */
  broken: Promise<Error>;
  /** Visitors come to a tunnel of this owner from now on. */
  ownedBy: (owner: string) => void;
  /** The contexts of the connections so far. */
  contexts: SecureContext[];
  clock: ManualClock;
  /** A TLS connection of a visitor; resolves when it is secure. */
  visit: (servername: string, options?: ConnectionOptions) => Promise<TLSSocket>;
}

/** Answers every connection under its name with `hello NAME`, as HTTP. */
async function listen(scope: Scope, given?: Given): Promise<Fixture> {
  const clock = new ManualClock();
  const source = await openSource(await scope.tempDir(), clock, given);
  scope.onEnd(() => source.close());
  const caFile = source.caFile ?? given?.certFile ?? '';
  const broken = Promise.withResolvers<Error>();
  let owner = 'one';
  const contexts: SecureContext[] = [];
  const contextFor = async (name: string, alpn: readonly string[]) => {
    const isProbe = alpn.includes(PROBE_PROTOCOL);
    const context = await (isProbe ? source.contextForProbe(name, owner) : source.contextFor(name, owner));
    contexts.push(context);
    return context;
  };
  const accept = (raw: Socket) => {
    const reader = new ClientHelloReader();
    raw.on('error', () => {});
    const read = async () => {
      for (let chunk = raw.read() as Buffer | null; chunk !== null; chunk = raw.read() as Buffer | null) {
        const result = reader.push(chunk);
        if (result.state === 'need-more') continue;
        raw.off('readable', read);
        if (result.state === 'refused' || result.serverName === undefined) return void raw.destroy();
        const name = result.serverName;
        terminateTls({
          raw,
          head: reader.bytes,
          context: await contextFor(name, result.alpn),
          alpn: ['http/1.1'],
          onSecure: (socket) => {
            socket.on('error', broken.resolve);
            socket.once('data', () =>
              socket.end(`HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello ${name}`),
            );
          },
          onFailed: () => {},
        });
        return;
      }
    };
    raw.on('readable', read);
  };
  const port = await scope.listen(createServer({allowHalfOpen: true}, accept));
  const ca = await readFile(caFile, 'utf8');
  const visit = async (servername: string, options: ConnectionOptions = {}) => {
    const socket = connect({host: '127.0.0.1', port, servername, ca, ...options});
    scope.onEnd(() => void socket.destroy());
    await once(socket, 'secureConnect');
    return socket;
  };
  const ownedBy = (next: string) => {
    owner = next;
  };
  return {source, caFile, port, visit, ownedBy, contexts, clock, broken: broken.promise};
}

/** The session that the relay gives out; the connection is not needed any more. */
async function sessionOf(socket: TLSSocket): Promise<Buffer> {
  // In TLS 1.2 the ticket is a part of the handshake, in 1.3 it follows.
  const ticket = socket.getProtocol() === 'TLSv1.3' ? once(socket, 'session') : [socket.getSession()];
  const closed = once(socket, 'close');
  socket.write('x');
  socket.resume();
  await closed;
  return (await ticket)[0] as Buffer;
}

test('curl and openssl in strict mode trust a name by the CA file', async ({scope}) => {
  const {caFile, port} = await listen(scope);
  const curl = await run(scope, 'curl', [
    ...['-sS', '--noproxy', '*', '--cacert', caFile, '--connect-to', `::127.0.0.1:${port}`],
    `https://${A}/`,
  ]);
  expect(curl).toMatchObject({code: 0, stdout: `hello ${A}`});
  const openssl = await run(scope, 'openssl', [
    ...['s_client', '-connect', `127.0.0.1:${port}`, '-servername', A, '-verify_hostname', A],
    ...['-CAfile', caFile, '-x509_strict', '-verify_return_error', '-brief'],
  ]);
  expect(openssl.stderr).toContain('Verification: OK');
});

test('TLS 1.2 and 1.3 are supported, older ones are not', async ({scope}) => {
  const {visit} = await listen(scope);
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const socket = await visit(A, {minVersion: version, maxVersion: version});
    expect(socket.getProtocol()).toBe(version);
    expect(socket.getCipher().name).toMatch(version === 'TLSv1.2' ? /^ECDHE-ECDSA-/ : /^TLS_/);
  }
  const old: ConnectionOptions = {minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0'};
  await expect(visit(A, old)).rejects.toMatchObject({code: expect.stringContaining('PROTOCOL_VERSION')});
});

test('a given RSA certificate: a new key for every connection, AEAD, and the relay’s order', async ({
  scope,
}) => {
  const {visit} = await listen(scope, await giveCertificate(scope));
  const only = (ciphers: string): ConnectionOptions => ({maxVersion: 'TLSv1.2', ciphers});
  const chosen = async (ciphers: string) => (await visit(A, only(ciphers))).getCipher().name;
  for (const ciphers of [
    'AES128-GCM-SHA256',
    'AES256-SHA',
    'DHE-RSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-SHA256',
  ]) {
    await expect(chosen(ciphers)).rejects.toMatchObject({code: expect.stringContaining('HANDSHAKE_FAILURE')});
  }
  expect(await chosen('ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256')).toBe(
    'ECDHE-RSA-AES128-GCM-SHA256',
  );
  expect(await chosen('ECDHE-RSA-AES256-GCM-SHA384:AES128-SHA')).toBe('ECDHE-RSA-AES256-GCM-SHA384');
  // A client without AES in hardware uses this order.
  expect(await chosen('ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256')).toBe(
    'ECDHE-RSA-CHACHA20-POLY1305',
  );
  expect((await visit(A, {minVersion: 'TLSv1.3'})).getCipher().name).toMatch(/^TLS_/);
});

/** With openssl, which offers a session under any name; Node's client only does so under the original one. */
async function isResumed(
  scope: Scope,
  {port, servername, version}: {port: number; servername: string; version: 'tls1_2' | 'tls1_3'},
  session: {in?: string; out?: string},
): Promise<boolean> {
  const {stdout} = await run(
    scope,
    'openssl',
    [
      ...['s_client', '-connect', `127.0.0.1:${port}`, '-servername', servername, `-${version}`, '-ign_eof'],
      ...(session.in === undefined ? [] : ['-sess_in', session.in]),
      ...(session.out === undefined ? [] : ['-sess_out', session.out]),
    ],
    {input: 'x'},
  );
  expect(stdout).toContain(`hello ${servername}`);
  const [how] = /^(New|Reused), TLSv1/m.exec(stdout) ?? [];
  return how?.startsWith('Reused') ?? false;
}

describe.each(['tls1_2', 'tls1_3'] as const)('a session of %s', (version) => {
  test('resumes only under its own name, and not after the given certificate got a new key', async ({
    scope,
  }) => {
    const folder = await scope.tempDir();
    const given = await giveCertificate(scope);
    for (const files of [undefined, given]) {
      const {source, port} = await listen(scope, files);
      const file = join(folder, files === undefined ? 'own' : 'given');
      const at = {port, version, servername: A};
      expect(await isResumed(scope, at, {out: file})).toBe(false);
      expect(await isResumed(scope, at, {in: file})).toBe(true);
      expect(await isResumed(scope, {...at, servername: B}, {in: file})).toBe(false);
      if (files === undefined) continue;
      const renewed = await giveCertificate(scope);
      await writeFile(given.certFile, await readFile(renewed.certFile));
      await writeFile(given.keyFile, await readFile(renewed.keyFile));
      await source.reload();
      expect(await isResumed(scope, at, {in: file})).toBe(false);
    }
  });

  test('resumes after the given certificate was renewed with the same key', async ({scope}) => {
    const given = await giveCertificate(scope);
    const {source, port} = await listen(scope, given);
    const at = {port, version, servername: A};
    const file = join(await scope.tempDir(), 'session');
    const before = await source.contextFor(A, 'one');
    expect(await isResumed(scope, at, {out: file})).toBe(false);
    await run(scope, 'openssl', [
      ...['req', '-x509', '-days', '3', '-key', given.keyFile, '-out', given.certFile],
      ...['-subj', '/CN=renewed', '-addext', 'subjectAltName=DNS:*.r1.localhost,DNS:r1.localhost'],
    ]);
    await source.reload();
    expect(await source.contextFor(A, 'one')).not.toBe(before);
    expect(await isResumed(scope, at, {in: file})).toBe(true);
  });

  test.for(['own', 'given'] as const)(
    'does not resume when its name has got another owner: %s certificate',
    async (kind, {scope}) => {
      const {port, ownedBy} = await listen(scope, kind === 'own' ? undefined : await giveCertificate(scope));
      const at = {port, version, servername: A};
      const file = join(await scope.tempDir(), 'session');
      expect(await isResumed(scope, at, {out: file})).toBe(false);
      ownedBy('another');
      expect(await isResumed(scope, at, {in: file})).toBe(false);
      ownedBy('one');
      expect(await isResumed(scope, at, {in: file})).toBe(true);
    },
  );
});

test.for(['TLSv1.2', 'TLSv1.3'] as const)(
  'a session of %s resumes only under its own name',
  async (version, {scope}) => {
    const {visit} = await listen(scope);
    const only = {minVersion: version, maxVersion: version} as const;
    const session = await sessionOf(await visit(A, only));
    const again = await visit(A, {...only, session});
    expect(again.isSessionReused()).toBe(true);
    const other = await visit(B, {...only, session});
    expect(other.isSessionReused()).toBe(false);
    expect(other.getPeerCertificate().subjectaltname).toBe(`DNS:${B}`);
  },
);

test('the longest name that DNS allows gets a certificate', async ({scope}) => {
  const {visit} = await listen(scope);
  const name = `${'x'.repeat(63)}.${'y'.repeat(63)}.${'z'.repeat(63)}.localhost`;
  expect((await visit(name)).getPeerCertificate().subjectaltname).toBe(`DNS:${name}`);
});

test('the CA may sign only leaves; a leaf is for servers and lives at most 398 days', async ({scope}) => {
  const {caFile, visit} = await listen(scope);
  const {stdout} = await run(scope, 'openssl', ['x509', '-in', caFile, '-noout', '-text']);
  expect(stdout).toMatch(/Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
  expect(stdout).toMatch(/Key Usage: critical\s+Certificate Sign, CRL Sign\n/);
  const {valid_from, valid_to, ext_key_usage} = (await visit(A)).getPeerCertificate();
  expect(ext_key_usage).toEqual(['1.3.6.1.5.5.7.3.1']);
  expect(Date.parse(valid_to) - Date.parse(valid_from)).toBeLessThanOrEqual(398 * DAY_MS);
  expect(Date.parse(valid_from)).toBeLessThan(Date.now());
});

test('a leaf is kept while it is valid and replaced long before its end', async ({scope}) => {
  vi.useFakeTimers({toFake: ['Date']});
  const stateDir = await scope.tempDir();
  const source = await openSource(stateDir, new ManualClock());
  const start = Date.now();
  for (const name of [A, 'r1.localhost']) {
    vi.setSystemTime(start);
    const first = await source.contextFor(name);
    vi.setSystemTime(start + 59 * DAY_MS);
    expect(await source.contextFor(name)).toBe(first);
    vi.setSystemTime(start + 61 * DAY_MS);
    const second = await source.contextFor(name);
    expect(second).not.toBe(first);
    expect(await source.contextFor(name)).toBe(second);
  }
});

test('another handshake on a TLS 1.2 connection is refused', async ({scope}) => {
  const {port, caFile, broken} = await listen(scope);
  // A line with R makes openssl ask for one.
  const openssl = await run(
    scope,
    'openssl',
    [
      ...['s_client', '-connect', `127.0.0.1:${port}`, '-servername', A, '-CAfile', caFile],
      ...['-tls1_2', '-legacy_renegotiation'],
    ],
    {input: 'R\n'},
  );
  expect(openssl.stdout + openssl.stderr).toContain('RENEGOTIATING');
  expect(await broken).toMatchObject({code: 'ERR_TLS_RENEGOTIATION_DISABLED'});
});

test('a broken record after the handshake breaks the connection', async ({scope}) => {
  const {port, caFile, broken} = await listen(scope);
  const raw = tcpConnect(port, '127.0.0.1');
  scope.onEnd(() => void raw.destroy());
  const ca = await readFile(caFile, 'utf8');
  // In 1.2 the relay sends the last message, so its side is secure, too, when the visitor's is.
  const socket = connect({socket: raw, servername: A, ca, maxVersion: 'TLSv1.2'});
  socket.on('error', () => {});
  await once(socket, 'secureConnect');
  // Application data that is not encrypted.
  raw.write(Buffer.concat([Buffer.from([23, 3, 3, 0, 64]), Buffer.alloc(64, 'x')]));
  expect(await broken).toMatchObject({code: expect.stringContaining('ERR_SSL_')});
});

test('a visitor that repeats the handshake again and again is cut off', async ({scope}) => {
  const {visit} = await listen(scope);
  const socket = await visit(A, {maxVersion: 'TLSv1.2'});
  socket.on('error', () => {});
  const closed = once(socket, 'close');
  let times = 0;
  const again = () => {
    socket.renegotiate({}, (error) => {
      times += 1;
      if (error === null && times < 50) again();
    });
  };
  again();
  await closed;
  expect(times).toBeLessThan(10);
});

test.for(['own', 'given'] as const)(
  'the context of a probe is freed with its connection, unless its name is visited or probed again soon: %s certificate',
  async (kind, {scope}) => {
    const fixture = await listen(scope, kind === 'own' ? undefined : await giveCertificate(scope));
    const {visit, contexts, clock, source} = fixture;
    const come = async (servername: string, protocol: string) => {
      const visitor = await visit(servername, {ALPNProtocols: [protocol, 'http/1.1']});
      visitor.end('GET / HTTP/1.1\r\n\r\n');
      visitor.resume();
      await once(visitor, 'close');
      return contexts.at(-1) as SecureContext;
    };
    const rare = await come(A, PROBE_PROTOCOL);
    await expect.poll(() => rare.context).toBeNull();
    const soon = await come(A, PROBE_PROTOCOL);
    expect(await come(A, PROBE_PROTOCOL)).toBe(soon);
    expect(soon.context).not.toBeNull();
    expect(await source.contextFor(A, 'one')).toBe(soon);
    const visited = await come(B, 'http/1.1');
    expect(await come(B, PROBE_PROTOCOL)).toBe(visited);
    expect(visited.context).not.toBeNull();
    const later = 'c.r1.localhost';
    await come(later, PROBE_PROTOCOL);
    clock.advance(60_000);
    const again = await come(later, PROBE_PROTOCOL);
    await expect.poll(() => again.context).toBeNull();
  },
);

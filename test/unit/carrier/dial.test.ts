import {subscribe, unsubscribe} from 'node:diagnostics_channel';
import {getEventListeners, once} from 'node:events';
import http, {type IncomingMessage, type ServerResponse} from 'node:http';
import https from 'node:https';
import net, {type Socket} from 'node:net';
import tls from 'node:tls';
import {inspect} from 'node:util';
import {describe, expect, vi} from 'vitest';
import {type Dialled, type DialOptions, dialCarrier} from '../../../src/lib/carrier/dial.js';
import {acceptFor} from '../../../src/lib/carrier/handshake.js';
import {acceptUpgrade, refuseUpgrade} from '../../../src/lib/carrier/upgrade.js';
import {TunlError} from '../../../src/lib/core/errors.js';
import {listenTo, send, testIdentity} from '../../helpers/carriers.js';
import {createAuthority, type KeyAndCertificate, selfSigned} from '../../helpers/certificates.js';
import {dialOrder} from '../../helpers/dial-order.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {type Scope, unusedPort} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

const token = 'tunl_test_SECRETSECRETSECRET';

interface Listener {
  port: number;
  url: string;
  /** Resolves when all connections have closed. */
  quiet(): Promise<void>;
}

async function listener(scope: Scope, server: net.Server): Promise<Listener> {
  const open = new Set<Socket>();
  let wake = () => {};
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => {
      open.delete(socket);
      wake();
    });
  });
  const port = await scope.listen(server);
  return {
    port,
    url: `https://relay.localhost:${port}`,
    quiet: async () => {
      while (open.size > 0) await new Promise<void>((resolve) => (wake = resolve));
    },
  };
}

/** An https server with the test's certificate, or another. */
async function httpsServer(scope: Scope, identity?: KeyAndCertificate) {
  const {key, cert} = identity ?? (await testIdentity());
  const server = https.createServer({key, cert});
  server.on('tlsClientError', () => {});
  return {server, ...(await listener(scope, server))};
}

async function dial(url: string, options: Partial<DialOptions> = {}): Promise<Dialled> {
  const {ca} = await testIdentity();
  return dialCarrier({url, path: '/agent', ca, token, timeoutMs: 20_000, env: {}, ...options});
}

/** The error of a dial that fails: it has a code, and does not contain the token. */
async function failed(dialled: Promise<Dialled>): Promise<TunlError> {
  const error = await dialled.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(TunlError);
  expect(inspect(error, {depth: 10})).not.toContain('SECRET');
  return error as TunlError;
}

describe('reaches a relay', () => {
  test('with the token, the headers and the right host; bytes go both ways', async ({scope}) => {
    const {server, url, port} = await httpsServer(scope);
    const seen = Promise.withResolvers<IncomingMessage>();
    server.on('upgrade', (req, socket, head) => {
      seen.resolve(req);
      const carrier = acceptUpgrade({req, socket, head, headers: {'X-Relay': 'r1'}});
      if (carrier === undefined) return;
      const log = listenTo(carrier);
      log.onPiece = (piece) => void send(carrier, piece);
      void send(carrier, Buffer.from('welcome '));
    });
    const {carrier, headers} = await dial(url, {headers: {'X-Agent': 'a1'}, label: 'wss r1'});
    const req = await seen.promise;
    expect(req.url).toBe('/agent');
    expect(req.headers).toMatchObject({
      host: `relay.localhost:${port}`,
      authorization: `Bearer ${token}`,
      'x-agent': 'a1',
      'sec-websocket-protocol': 'tunl.v1',
    });
    expect(req.headers['sec-websocket-extensions']).toBeUndefined();
    expect((req.socket as tls.TLSSocket & {servername: string}).servername).toBe('relay.localhost');
    expect(headers['x-relay']).toBe('r1');
    expect(carrier.label).toBe('wss r1');
    const log = listenTo(carrier);
    void send(carrier, Buffer.from('echo'));
    await log.received(12);
    expect(log.data.toString()).toBe('welcome echo');
    carrier.end();
    expect(await log.closed()).toBeUndefined();
  });

  test.for(['127.0.0.1', 'localhost', 'deep.below.localhost'])('at %s', async (host, {scope}) => {
    const authority = await createAuthority();
    const identity = await authority.issue([host]);
    const {server, port} = await httpsServer(scope, identity);
    server.on('upgrade', (req, socket, head) => void acceptUpgrade({req, socket, head})?.start(quietSink));
    const {carrier} = await dial(`https://${host}:${port}`, {ca: authority.cert});
    expect(carrier.label).toBe(`wss ${host}:${port}`);
    const log = listenTo(carrier);
    carrier.destroy();
    await log.closed();
  });

  test('at ::1', async ({scope}) => {
    const {key, cert} = await testIdentity();
    const server = https.createServer({key, cert});
    const port = await scope.listen(server, '::1');
    server.on('upgrade', (req, socket, head) => void acceptUpgrade({req, socket, head})?.start(quietSink));
    const {carrier} = await dial(`https://[::1]:${port}`);
    expect(carrier.label).toBe(`wss [::1]:${port}`);
    carrier.destroy();
    // A name under .localhost means both addresses; either one may listen.
    (await dial(`https://relay.localhost:${port}`)).carrier.destroy();
  });

  test('that speaks h2 as well', async ({scope}) => {
    const {key, cert} = await testIdentity();
    const server = https.createServer({key, cert, ALPNProtocols: ['h2', 'http/1.1']});
    const {url} = await listener(scope, server);
    const chosen = Promise.withResolvers<unknown>();
    server.on('upgrade', (req, socket, head) => {
      chosen.resolve((req.socket as tls.TLSSocket).alpnProtocol);
      acceptUpgrade({req, socket, head})?.start(quietSink);
    });
    (await dial(url)).carrier.destroy();
    expect(await chosen.promise).toBe('http/1.1');
  });

  test('whose self-signed certificate is in the CA file', async ({scope}) => {
    const identity = await selfSigned(['relay.localhost']);
    const {server, url} = await httpsServer(scope, identity);
    server.on('upgrade', (req, socket, head) => void acceptUpgrade({req, socket, head})?.start(quietSink));
    (await dial(url, {ca: identity.cert})).carrier.destroy();
  });
});

const quietSink = {onData() {}, onDrain() {}, onClose() {}};

describe('the network', () => {
  test('an address that is not accepted gets no connection', async ({scope}) => {
    const {server, url, port} = await httpsServer(scope);
    let connections = 0;
    server.on('connection', () => {
      connections += 1;
    });
    const asked: string[] = [];
    const accepts = (address: string) => asked.push(address) === 0;
    const error = await failed(dial(url, {accepts}));
    expect(error).toMatchObject({code: 'SUCCESSOR_REFUSED'});
    expect(error.message).toBe(`Its addresses are in a private network (relay.localhost:${port}).`);
    expect(asked).toEqual(['127.0.0.1', '::1']);
    expect(connections).toBe(0);
  });

  test('returns the address of the relay', async ({scope}) => {
    const {server, url} = await httpsServer(scope);
    server.on('upgrade', (req, socket, head) => void acceptUpgrade({req, socket, head})?.start(quietSink));
    const {carrier, address} = await dial(url);
    expect(address).toBe('127.0.0.1');
    carrier.destroy();
  });

  test('a name that does not resolve', async () => {
    const label = 'a'.repeat(64);
    const error = await failed(dial(`https://${label}.example`));
    expect(error).toMatchObject({code: 'RELAY_NAME_UNKNOWN', retryable: true});
    expect(error.message).toBe(`The name does not resolve (${label}.example:443).`);
  });

  test('a port without a listener', async () => {
    const port = await unusedPort();
    const error = await failed(dial(`https://relay.localhost:${port}`));
    expect(error).toMatchObject({code: 'RELAY_REFUSED', exitCode: 3});
    expect(error.message).toBe(`The connection was refused (relay.localhost:${port}).`);
  });

  test.for<[string, string, (socket: Socket) => void]>([
    ['sends nothing', 'TLS handshake', () => {}],
    [
      'sends half a TLS record and stops',
      'TLS handshake',
      (socket) => socket.write(Buffer.from([22, 3, 3, 0, 80])),
    ],
  ])('a black hole that %s', async ([_what, step, onSocket], {scope}) => {
    const clock = new ManualClock();
    const server = net.createServer(onSocket);
    const {url, port, quiet} = await listener(scope, server);
    const connected = once(server, 'connection') as Promise<[Socket]>;
    const dialled = failed(dial(url, {clock, timeoutMs: 4_000}));
    const [socket] = await connected;
    // The ClientHello has arrived: the handshake has begun.
    await once(socket, 'data');
    clock.advance(4_000);
    const error = await dialled;
    expect(error).toMatchObject({code: 'RELAY_TIMEOUT'});
    expect(error.message).toBe(`No answer from relay.localhost:${port} within 4 s (${step}).`);
    await quiet();
    expect(clock.pending).toBe(0);
  });

  test.for<[string, string, string]>([
    ['never answers the upgrade', '', 'upgrade'],
    ['never ends its answer', 'HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nhalf', 'answer'],
  ])('a server that %s', async ([_what, answer, step], {scope}) => {
    const clock = new ManualClock();
    const {server, url, quiet} = await httpsServer(scope);
    const asked = Promise.withResolvers<Socket>();
    server.on('upgrade', (_req, socket) => {
      socket.on('error', () => {});
      socket.resume();
      asked.resolve(socket as Socket);
    });
    const dialled = failed(dial(url, {clock, timeoutMs: 4_000}));
    const socket = await asked.promise;
    if (answer !== '') {
      const answered = new Promise<void>((resolve) => {
        const heard = () => {
          unsubscribe('http.client.response.finish', heard);
          resolve();
        };
        subscribe('http.client.response.finish', heard);
      });
      socket.write(answer);
      await answered;
      await new Promise((resolve) => setImmediate(resolve));
    }
    clock.advance(4_000);
    expect(await dialled).toMatchObject({
      code: 'RELAY_TIMEOUT',
      message: expect.stringContaining(`(${step})`),
    });
    await quiet();
  });

  test.for<[string, string, string, (socket: Socket) => void]>([
    [
      'an SSH server',
      'RELAY_NOT_TUNL',
      'does not speak TLS',
      (socket) => socket.write('SSH-2.0-OpenSSH_9.2\r\n'),
    ],
    ['one that hangs up', 'RELAY_LOST', 'closed', (socket) => socket.end()],
    ['one that resets', 'RELAY_LOST', 'closed', (socket) => socket.resetAndDestroy()],
  ])('%s', async ([_what, code, text, onSocket], {scope}) => {
    const server = net.createServer((socket) => onSocket(socket.resume()));
    const {url, port, quiet} = await listener(scope, server);
    const error = await failed(dial(url));
    expect(error).toMatchObject({code});
    expect(error.message).toContain(text);
    expect(error.message).toContain(`relay.localhost:${port}`);
    await quiet();
  });

  test('a plain http server', async ({scope}) => {
    const {url, quiet} = await listener(scope, http.createServer());
    const error = await failed(dial(url));
    expect(error).toMatchObject({code: 'RELAY_NOT_TUNL', retryable: false});
    expect(error.message).toContain('does not speak TLS');
    await quiet();
  });

  test('a TLS server that does not know the name', async ({scope}) => {
    const {key, cert} = await testIdentity();
    const server = tls.createServer({key, cert, SNICallback: (_name, done) => done(new Error('unknown'))});
    server.on('tlsClientError', () => {});
    const {url, quiet} = await listener(scope, server);
    expect((await failed(dial(url))).code).toMatch(/^RELAY_(NOT_TUNL|LOST)$/);
    await quiet();
  });
});

describe('the certificate', () => {
  test('is self-signed', async ({scope}) => {
    const {url, port, quiet} = await httpsServer(scope, await selfSigned(['relay.localhost']));
    const error = await failed(dial(url));
    expect(error).toMatchObject({code: 'RELAY_CERTIFICATE', retryable: false});
    expect(error.message).toBe(
      `The certificate of relay.localhost:${port} is self-signed and not among the trusted ones.`,
    );
    await quiet();
  });

  test.for([false, true])('is of an unknown authority (another one given: %s)', async (given, {scope}) => {
    const authority = await createAuthority('Unknown CA');
    const {url, port} = await httpsServer(scope, await authority.issue(['relay.localhost']));
    const ca = given ? {ca: (await createAuthority('Known CA')).cert} : {};
    const error = await failed(dialCarrier({url, path: '/', token, timeoutMs: 20_000, env: {}, ...ca}));
    expect(error).toMatchObject({code: 'RELAY_CERTIFICATE'});
    expect(error.message).toBe(
      `The certificate of relay.localhost:${port} is signed ${given ? 'neither by the given CA nor by one that this machine knows' : 'by an authority that this machine does not know'}.`,
    );
    expect(error.next.includes('The given CA file is of another relay')).toBe(given);
  });

  test('is of an unknown authority: no relay waits while this machine’s authorities are read', async ({
    scope,
  }) => {
    const {url} = await httpsServer(scope, await (await createAuthority()).issue(['relay.localhost']));
    // Contexts are kept, so the set of this test must be a new one.
    const {cert: ca} = await createAuthority('Another');
    const order = dialOrder(scope);
    expect(await failed(dial(url, {ca}))).toMatchObject({code: 'RELAY_CERTIFICATE'});
    expect(order).toEqual(['context', 'connection', 'context', 'connection']);
  });

  test('is of a new authority with the old one’s name', async ({scope}) => {
    const {url} = await httpsServer(scope, await (await createAuthority('CA')).issue(['relay.localhost']));
    const error = await failed(dial(url, {ca: (await createAuthority('CA')).cert}));
    expect(error).toMatchObject({code: 'RELAY_CERTIFICATE', next: expect.stringContaining('new CA')});
  });

  test('is of an authority that the machine trusts, besides the given one', async ({scope}) => {
    const before = tls.getCACertificates('default');
    scope.onEnd(() => tls.setDefaultCACertificates(before));
    const known = await createAuthority('Known to the machine');
    tls.setDefaultCACertificates([...tls.rootCertificates, known.cert]);
    const {server, url} = await httpsServer(scope, await known.issue(['relay.localhost']));
    server.on('upgrade', (req, socket, head) => void acceptUpgrade({req, socket, head})?.start(quietSink));
    (await dial(url, {ca: (await createAuthority('Given')).cert})).carrier.destroy();
  });

  test('is for another name', async ({scope}) => {
    const authority = await createAuthority();
    const {url, port} = await httpsServer(scope, await authority.issue(['r1.example', '192.0.2.1']));
    const error = await failed(dial(url, {ca: authority.cert}));
    expect(error).toMatchObject({code: 'RELAY_CERTIFICATE'});
    expect(error.message).toBe(
      `The certificate of relay.localhost:${port} is for r1.example, 192.0.2.1, not for relay.localhost.`,
    );
  });

  test('has expired, or is not valid yet', async ({scope}) => {
    const authority = await createAuthority();
    const day = 86_400_000;
    const old = await authority.issue(['relay.localhost'], {
      notBefore: new Date(Date.now() - 20 * day),
      notAfter: new Date(Date.now() - day),
    });
    const early = await authority.issue(['relay.localhost'], {
      notBefore: new Date(Date.now() + day),
      notAfter: new Date(Date.now() + 9 * day),
    });
    const ca = authority.cert;
    const expired = await failed(dial((await httpsServer(scope, old)).url, {ca}));
    expect(expired).toMatchObject({
      code: 'RELAY_CERTIFICATE',
      message: expect.stringMatching(/has expired\.$/),
    });
    expect(expired.next).toContain('clock');
    const future = await failed(dial((await httpsServer(scope, early)).url, {ca}));
    expect(future).toMatchObject({
      code: 'RELAY_CERTIFICATE',
      message: expect.stringMatching(/not valid yet\.$/),
    });
  });

  test('is checked despite NODE_TLS_REJECT_UNAUTHORIZED', async ({scope}) => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    scope.onEnd(() => void vi.unstubAllEnvs());
    const {url} = await httpsServer(scope, await selfSigned(['relay.localhost']));
    expect(await failed(dial(url))).toMatchObject({code: 'RELAY_CERTIFICATE'});
  });

  test('a CA file without a certificate in it', async () => {
    expect(await failed(dial('https://relay.localhost:1', {ca: 'no PEM'}))).toMatchObject({
      code: 'CERTIFICATE_INVALID',
    });
  });
});

describe('the answer', () => {
  /** The answer to every request, also without an upgrade. */
  const answering = async (scope: Scope, status: number, type: string, body: string, more = {}) => {
    const {server, ...rest} = await httpsServer(scope);
    // Without an `upgrade` listener node's server treats the request like others.
    server.on('request', (_req: IncomingMessage, res: ServerResponse) => {
      res.writeHead(status, {'Content-Type': type, ...more});
      res.end(body);
    });
    return rest;
  };

  test.for<[number, string, string]>([
    [200, 'text/html', '<!doctype html><h1>Welcome to nginx!</h1>'],
    [204, 'text/plain', ''],
    [301, 'text/html', ''],
    [400, 'text/html', 'The plain HTTP request was sent to HTTPS port'],
    [401, 'text/html', 'log in'],
    [403, 'application/json', '{"error":"forbidden"}'],
    [404, 'application/json', 'not json'],
    [404, 'application/json', '{"error":{"code":7,"message":null}}'],
    [500, 'text/html', 'oops'],
    [200, 'application/json', '{"error":{"code":"TOKEN_WRONG","message":"x"}}'],
  ])('%i %s is not from a relay', async ([status, type, body], {scope}) => {
    const {url, port, quiet} = await answering(scope, status, type, body);
    const error = await failed(dial(url));
    expect(error).toMatchObject({code: 'RELAY_NOT_TUNL', exitCode: 3});
    expect(error.message).toBe(`relay.localhost:${port} answered ${status} instead of an upgrade.`);
    await quiet();
  });

  test.for([429, 502, 503, 504])('%i without a body allows a retry', async (status, {scope}) => {
    const {url} = await answering(scope, status, 'text/html', '<h1>later</h1>', {'Retry-After': '7'});
    expect(await failed(dial(url))).toMatchObject({code: 'RELAY_BUSY', retryable: true, retryAfterMs: 7_000});
  });

  test('an endless page is not read to its end', async ({scope}) => {
    const {server, url, quiet} = await httpsServer(scope);
    let sent = 0;
    server.on('request', (_req: IncomingMessage, res: ServerResponse) => {
      res.writeHead(200, {'Content-Type': 'text/html'});
      const more = () => {
        while (!res.destroyed) {
          sent += 8_192;
          if (!res.write('x'.repeat(8_192))) return;
        }
      };
      res.on('drain', more);
      more();
    });
    expect(await failed(dial(url))).toMatchObject({code: 'RELAY_NOT_TUNL'});
    await quiet();
    // Both kernels hold more than the dial has read.
    expect(sent).toBeLessThan(32 * 2 ** 20);
  });

  test('something that is not HTTP', async ({scope}) => {
    const {key, cert} = await testIdentity();
    const server = tls.createServer({key, cert}, (socket) =>
      socket.resume().end('220 mail.example ESMTP\r\n'),
    );
    const {url, quiet} = await listener(scope, server);
    expect(await failed(dial(url))).toMatchObject({
      code: 'RELAY_NOT_TUNL',
      message: expect.stringContaining('does not speak HTTP'),
    });
    await quiet();
  });

  test('a TLS server that closes', async ({scope}) => {
    const {key, cert} = await testIdentity();
    const server = tls.createServer({key, cert}, (socket) => socket.destroy());
    const {url, quiet} = await listener(scope, server);
    expect(await failed(dial(url))).toMatchObject({code: 'RELAY_LOST', retryable: true});
    await quiet();
  });

  const valid = (key: string) => ({
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Accept': acceptFor(key),
    'Sec-WebSocket-Protocol': 'tunl.v1',
  });
  test.for<[string, Record<string, string | undefined>, string]>([
    ['another accept', {'Sec-WebSocket-Accept': acceptFor('AAAAAAAAAAAAAAAAAAAAAA==')}, 'wrongly'],
    ['no accept', {'Sec-WebSocket-Accept': undefined}, 'wrongly'],
    ['no sub-protocol', {'Sec-WebSocket-Protocol': undefined}, 'tunl.v1'],
    ['another sub-protocol', {'Sec-WebSocket-Protocol': 'tunl.v2'}, 'tunl.v1'],
    ['an extension', {'Sec-WebSocket-Extensions': 'permessage-deflate'}, 'extension'],
    ['another upgrade', {Upgrade: 'h2c'}, 'not a WebSocket'],
  ])('101 with %s', async ([_what, change, text], {scope}) => {
    const {server, url, quiet} = await httpsServer(scope);
    server.on('upgrade', (req, socket) => {
      socket.on('error', () => {});
      socket.resume();
      const headers = Object.entries({...valid(String(req.headers['sec-websocket-key'])), ...change})
        .filter(([, value]) => value !== undefined)
        .map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${headers.join('')}\r\n`);
    });
    const error = await failed(dial(url));
    expect(error).toMatchObject({code: 'RELAY_NOT_TUNL'});
    expect(error.message).toContain(text);
    await quiet();
  });
});

describe('a relay that refuses', () => {
  const refusing = async (scope: Scope, status: number, code: string, retryAfterMs?: number) => {
    const {server, ...rest} = await httpsServer(scope);
    server.on('upgrade', (_req, socket) =>
      refuseUpgrade(socket, status, {
        code: code as 'CLOSED',
        message: 'Because\u001b[2J.',
        ...(retryAfterMs !== undefined && {retryAfterMs}),
      }),
    );
    return rest;
  };

  test.for([
    [401, 'TOKEN_MISSING'],
    [401, 'TOKEN_WRONG'],
    [403, 'TOKEN_WRONG'],
    [426, 'RELAY_TOO_OLD'],
    [426, 'RELAY_TOO_NEW'],
    [429, 'RELAY_BUSY'],
    [503, 'RELAY_BUSY'],
    [400, 'PROTOCOL'],
  ] as const)('with %i %s', async ([status, code], {scope}) => {
    const {url, port, quiet} = await refusing(scope, status, code);
    const error = await failed(dial(url));
    expect(error).toMatchObject({code, retryAfterMs: undefined});
    expect(error.message).toBe(`Because [2J. (relay.localhost:${port})`);
    await quiet();
  });

  test('for a limited time', async ({scope}) => {
    const {url} = await refusing(scope, 429, 'RELAY_BUSY', 2_500);
    expect(await failed(dial(url))).toMatchObject({code: 'RELAY_BUSY', retryAfterMs: 3_000});
  });

  test.for([
    [401, 'TOKEN_WRONG'],
    [403, 'TOKEN_WRONG'],
    [426, 'RELAY_TOO_NEW'],
    [503, 'RELAY_BUSY'],
    [418, 'RELAY_NOT_TUNL'],
  ] as const)('with %i and a code of the future', async ([status, code], {scope}) => {
    const {url} = await refusing(scope, status, 'INVENTED_LATER');
    expect(await failed(dial(url))).toMatchObject({code});
  });
});

describe('invalid options', () => {
  test('an invalid URL', async () => {
    expect(await failed(dial('http://relay.example'))).toMatchObject({
      code: 'RELAY_URL_INVALID',
      exitCode: 2,
    });
  });

  test('a token that no header can have', async () => {
    const error = await failed(dial('https://relay.localhost:1', {token: 'SECRET\r\nX-Evil: 1'}));
    expect(error).toMatchObject({code: 'TOKEN_WRONG'});
  });
});

describe('abort', () => {
  test('before the dial', async () => {
    const signal = AbortSignal.abort(new Error('changed my mind'));
    expect(await failed(dial('https://relay.localhost:1', {signal}))).toMatchObject({code: 'ABORTED'});
  });

  test('during TLS, and during the upgrade', async ({scope}) => {
    const hole = net.createServer((socket) => socket.resume());
    const silent = await httpsServer(scope);
    silent.server.on('upgrade', (_req, socket) => {
      socket.on('error', () => {});
      socket.resume();
    });
    const cases: [Listener, Promise<unknown>][] = [
      [await listener(scope, hole), once(hole, 'connection')],
      [silent, once(silent.server, 'upgrade')],
    ];
    for (const [{url, quiet}, arrived] of cases) {
      const controller = new AbortController();
      const clock = new ManualClock();
      const dialled = failed(dial(url, {signal: controller.signal, clock}));
      await arrived;
      controller.abort();
      expect(await dialled).toMatchObject({code: 'ABORTED', exitCode: 130});
      await quiet();
      expect(clock.pending).toBe(0);
    }
  });

  test('after the dial has no effect on the carrier', async ({scope}) => {
    const {server, url} = await httpsServer(scope);
    server.on('upgrade', (req, socket, head) => {
      const carrier = acceptUpgrade({req, socket, head});
      if (carrier === undefined) return;
      const log = listenTo(carrier);
      log.onPiece = (piece) => void send(carrier, piece);
    });
    const controller = new AbortController();
    const clock = new ManualClock();
    const {carrier} = await dial(url, {signal: controller.signal, clock});
    expect(clock.pending).toBe(0);
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
    controller.abort();
    const log = listenTo(carrier);
    void send(carrier, Buffer.from('alive'));
    await log.received(5);
    carrier.destroy();
  });
});

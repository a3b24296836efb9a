// The ports of an egress with real programs: curl and Python through the proxy, plain TCP through a forwarded port, and what
// clients get for wrong passwords, forbidden destinations and hostile beginnings.

import {execFile} from 'node:child_process';
import {createHash, randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {writeFile} from 'node:fs/promises';
import {createServer as createHttpServer} from 'node:http';
import {type AddressInfo, connect, createServer, type Server, type Socket} from 'node:net';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {afterAll, beforeAll, describe, expect, vi} from 'vitest';
import type {LinkEvent} from '../../src/lib/agent/events.js';
import type {TunlError} from '../../src/lib/core/errors.js';
import {EgressClient} from '../../src/lib/egress/client.js';
import {forwardPort, type PortForward} from '../../src/lib/egress/forward.js';
import {proxyEnv} from '../../src/lib/egress/proxy/proxy-env.js';
import {openProxy, type ProxyPort} from '../../src/lib/egress/proxy/proxy-port.js';
import {openLink, type RelayLink} from '../../src/lib/open-link.js';
import {FaultProxy} from '../helpers/fault-proxy.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import {Scope, unusedPort} from '../helpers/scope.js';
import {test} from '../helpers/test.js';

const run = promisify(execFile);
const SOURCE = '127.0.0.2';

const scope = new Scope();
let relay: RelayProcess;
let link: RelayLink;
let client: EgressClient;
let proxy: ProxyPort;
/** An HTTP server that answers with the address that it sees. */
let web: number;
/** A server that answers to the end of what it gets: its length and hash. */
let sink: number;
const failed: {error: TunlError; destination: string}[] = [];

async function portOf(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  scope.onEnd(() => void server.close());
  return (server.address() as AddressInfo).port;
}

beforeAll(async () => {
  const flags = ['--egress', `my-proxy=${SOURCE}`, '--egress-allow-private', '127.0.0.1/32'];
  relay = await startRelayProcess(scope, {flags});
  link = await openLink({
    relay: relay.url,
    token: relay.token,
    caFile: relay.caFile,
    stateDir: await scope.tempDir('state'),
  });
  client = new EgressClient(link, {egress: 'my-proxy'});
  proxy = await openProxy(client, {onFailed: (error, destination) => failed.push({error, destination})});
  scope.onEnd(async () => await link.close());
  web = await portOf(
    createHttpServer((request, response) => {
      if (request.url === '/cut') {
        response
          .writeHead(200, {'content-length': '1000'})
          .write('half', () => request.socket.resetAndDestroy());
        return;
      }
      const body = createHash('sha256');
      let length = 0;
      request.on('data', (piece: Buffer) => {
        body.update(piece);
        length += piece.length;
      });
      request.on('end', () => {
        const {method, url, headers, socket} = request;
        response.end(
          JSON.stringify({
            from: socket.remoteAddress,
            method,
            url,
            headers,
            length,
            hash: body.digest('hex'),
          }),
        );
      });
    }),
  );
  sink = await portOf(
    createServer({allowHalfOpen: true}, (socket) => {
      const hash = createHash('sha256');
      let length = 0;
      socket.on('error', () => {});
      socket.on('data', (piece: Buffer) => {
        hash.update(piece);
        length += piece.length;
      });
      socket.on('end', () => socket.end(`${socket.remoteAddress} ${length} ${hash.digest('hex')}`));
    }),
  );
});

afterAll(async () => await scope[Symbol.asyncDispose]());

const curl = async (...args: string[]) => (await run('curl', ['-sS', '--max-time', '20', ...args])).stdout;

describe('curl', () => {
  const address = () => `127.0.0.1:${web}`;

  test('by CONNECT, by plain HTTP, by SOCKS with and without a name: the destination sees the egress', async () => {
    const {url, password, address: at} = proxy;
    const socks = ['-U', `tunl:${password}`];
    for (const args of [
      ['--proxy', url],
      ['--proxy', url, '--proxytunnel'],
      ['--socks5', at, ...socks],
      ['--socks5-hostname', at, ...socks],
    ]) {
      const answer = JSON.parse(await curl(...args, `http://${address()}/a?b=c`));
      expect(answer).toMatchObject({from: SOURCE, method: 'GET', url: '/a?b=c', headers: {host: address()}});
      expect(Object.keys(answer.headers).filter((name) => name.startsWith('proxy-'))).toEqual([]);
    }
  });

  test('uploads with a length and in chunks, and two requests of one connection', async () => {
    const body = randomBytes(2_000_000);
    const hash = createHash('sha256').update(body).digest('hex');
    const file = join(await scope.tempDir('body'), 'body');
    await writeFile(file, body);
    const to = `http://${address()}/`;
    for (const how of [[], ['--proxytunnel'], ['-H', 'Transfer-Encoding: chunked']]) {
      const answer = await curl('--proxy', proxy.url, ...how, '--data-binary', `@${file}`, to);
      expect(JSON.parse(answer)).toMatchObject({method: 'POST', length: body.length, hash});
    }
    const two = await curl('--proxy', proxy.url, '-w', ' %{num_connects}\n', to, to);
    expect(two.match(/ \d$/gm)).toEqual([' 1', ' 0']);
  });

  test.each([[[]], [['--proxytunnel']]])(
    'an answer that breaks in the middle is no whole answer %j',
    async (how) => {
      const broken = curl('--proxy', proxy.url, ...how, `http://${address()}/cut`);
      await expect(broken).rejects.toMatchObject({
        code: expect.toSatisfy((code) => code === 18 || code === 56),
      });
    },
  );

  test('a wrong password, and none', async () => {
    const plain = `http://${proxy.address}`;
    const status = ['-o', '/dev/null', '-w', '%{http_code} %{http_connect}'];
    const to = `http://${address()}/`;
    expect(await curl('--proxy', plain, ...status, to)).toBe('407 000');
    expect(await curl('--proxy', plain, '-U', 'tunl:wrong', ...status, to)).toBe('407 000');
    const tunnelled = curl('--proxy', plain, '--proxytunnel', '-w', '%{http_connect}', to);
    await expect(tunnelled).rejects.toMatchObject({stdout: '407'});
    // 97: the proxy refused.
    await expect(curl('--socks5', proxy.address, to)).rejects.toMatchObject({code: 97});
    await expect(curl('--socks5', proxy.address, '-U', 'tunl:wrong', to)).rejects.toMatchObject({code: 97});
  });
});

test('Python: urllib takes the variables, for http and for CONNECT', async () => {
  const code = [
    'import json, sys, urllib.request',
    'print(json.load(urllib.request.urlopen(sys.argv[1], timeout=20))["from"])',
  ].join('\n');
  const env = {PATH: process.env.PATH, ...proxyEnv(proxy.url), NO_PROXY: '', no_proxy: ''};
  const {stdout} = await run('python3', ['-c', code, `http://127.0.0.1:${web}/`], {env});
  expect(stdout.trim()).toBe(SOURCE);
});

describe('without an answer of the destination', () => {
  test.each([
    ['a forbidden one', '10.0.0.1:80', 403, 2, 'EGRESS_FORBIDDEN'],
    ['a name that does not exist', 'nothing.invalid:80', 502, 4, 'EGRESS_UNREACHABLE'],
    ['a closed port', 'closed', 502, 5, 'EGRESS_UNREACHABLE'],
    ['no host', '%:80', 403, 2, 'EGRESS_FORBIDDEN'],
  ])('%s: %s', async (_name, to, status, reply, code) => {
    const destination = to === 'closed' ? `127.0.0.1:${await unusedPort()}` : to;
    failed.length = 0;
    const [head = '', body] = (await talk(connectRequest(destination))).toString('latin1').split('\r\n\r\n');
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(head).toMatch(/^Proxy-Status: tunl; error=\w+$/m);
    expect(body).toContain(`(${code})`);
    expect((await talk(socksRequest(destination))).subarray(4)).toEqual(
      Buffer.from([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]),
    );
    const plain = await talk(plainRequest(destination));
    expect(plain.toString()).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(failed.map(({error, destination: shown}) => [error.code, shown])).toEqual(
      Array(3).fill([code, destination]),
    );
  });
});

test('a refusal reaches a client that has sent more than its request', async () => {
  const more = randomBytes(1_000_000);
  const [http, socks] = [connectRequest('10.0.0.1:443'), socksRequest('10.0.0.1:443')];
  expect(String(await talk(Buffer.concat([http, more])))).toMatch(
    /^HTTP\/1.1 403 [\s\S]*\(EGRESS_FORBIDDEN\)\n$/,
  );
  expect((await talk(Buffer.concat([socks, more]))).subarray(4, 6)).toEqual(Buffer.from([5, 2]));
});

describe('hostile beginnings', () => {
  const over = (bytes: Buffer | string) => talk(Buffer.from(bytes));

  test.each([
    ['SOCKS 4', Buffer.from([4, 1, 0, 80, 1, 2, 3, 4, 0]), '\0[\0\0\0\0\0\0'],
    ['a greeting without methods', Buffer.from([5, 0]), /^$/],
    ['a greeting without the password method', Buffer.from([5, 1, 0]), '\x05\xff'],
    ['a login of another version', Buffer.from([5, 1, 2, 5, 0, 0]), '\x05\x02'],
    ['no HTTP at all', 'hello\r\n\r\n', /^HTTP\/1.1 400 /],
    ['TLS', Buffer.from([22, 3, 1, 0, 5, 1, 0, 0, 1, 0]), /^HTTP\/1.1 400 /],
    ['a page', `GET / HTTP/1.1\r\nHost: x\r\n${'AUTH'}\r\n`, /^HTTP\/1.1 400 [\s\S]*This port is a proxy/],
    ['another scheme', 'GET https://x/ HTTP/1.1\r\nHost: x\r\nAUTH\r\n', /^HTTP\/1.1 501 [\s\S]*CONNECT/],
    ['CONNECT without a port', 'CONNECT x HTTP/1.1\r\nHost: x\r\nAUTH\r\n', /^HTTP\/1.1 400 /],
    [
      'a head that is too long',
      `GET http://x/ HTTP/1.1\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`,
      /^HTTP\/1.1 431 /,
    ],
    [
      'two lengths',
      'POST http://x/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
      /^HTTP\/1.1 400 /,
    ],
  ])('%s', async (_name, bytes, answer) => {
    const sent = typeof bytes === 'string' ? bytes.replace('AUTH', `${authorization()}\r\n`) : bytes;
    const got = (await over(sent)).toString('latin1');
    expect(got).toEqual(typeof answer === 'string' ? answer : expect.stringMatching(answer));
    // The port goes on.
    expect(JSON.parse(await curl('--proxy', proxy.url, `http://127.0.0.1:${web}/`))).toMatchObject({
      from: SOURCE,
    });
  });

  test('a head that does not come to its end is cut off', async () => {
    vi.useFakeTimers({toFake: ['setTimeout', 'clearTimeout']});
    try {
      const cut = [Buffer.alloc(0), Buffer.from([5, 2, 0]), Buffer.from('GET http://x/ HTTP/1.1\r\nX:')].map(
        async (bytes) => {
          const socket = connect(proxy.port, '127.0.0.1');
          socket.on('error', () => {});
          await once(socket, 'connect');
          socket.write(bytes);
          return new Promise((resolve) => socket.once('close', resolve));
        },
      );
      while (proxy.connections < cut.length) await new Promise((resolve) => setImmediate(resolve));
      vi.advanceTimersByTime(10_000);
      await Promise.all(cut);
    } finally {
      vi.useRealTimers();
    }
  });

  test('the oldest beginning leaves when there are too many, and real clients come through', async () => {
    const sockets = await Promise.all(
      Array.from({length: 300}, async () => {
        const socket = connect(proxy.port, '127.0.0.1');
        socket.on('error', () => {});
        await once(socket, 'connect');
        return socket;
      }),
    );
    expect(JSON.parse(await curl('--proxy', proxy.url, `http://127.0.0.1:${web}/`))).toMatchObject({
      from: SOURCE,
    });
    for (const socket of sockets) socket.destroy();
  });
});

describe('bytes', () => {
  test('that come with the request, in any pieces, reach the destination, and half-close passes', async () => {
    const body = randomBytes(100_000);
    const expected = `${SOURCE} ${body.length} ${createHash('sha256').update(body).digest('hex')}`;
    for (const request of [connectRequest(`127.0.0.1:${sink}`), socksRequest(`127.0.0.1:${sink}`)]) {
      for (const size of [1, 7, 1_000_000]) {
        const all = Buffer.concat([request, body]);
        const head = Math.min(request.length + 10, all.length);
        const socket = connect({port: proxy.port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true});
        const pieces: Buffer[] = [];
        socket.on('data', (piece: Buffer) => pieces.push(piece));
        const ended = once(socket, 'end');
        for (let at = 0; at < head; at += size)
          await new Promise((resolve) => socket.write(all.subarray(at, Math.min(at + size, head)), resolve));
        socket.end(all.subarray(head));
        await ended;
        expect(Buffer.concat(pieces).toString('latin1')).toMatch(new RegExp(`${expected}$`));
      }
    }
  });

  test('a reset of the destination is a reset of the client', async () => {
    const server = createServer((socket) => socket.once('data', () => socket.resetAndDestroy()));
    const at = await portOf(server);
    const port = await forwardPort(client, readForwardTo(at));
    const socket = connect(port.port, '127.0.0.1');
    const failure = once(socket, 'error');
    socket.write('x');
    expect((await failure)[0]).toMatchObject({code: 'ECONNRESET'});
    await port.close();
  });

  test('a client that resets is a reset for the destination', async () => {
    const reset = Promise.withResolvers<unknown>();
    const came = Promise.withResolvers<void>();
    const server = createServer((socket) => {
      socket.once('data', () => came.resolve());
      socket.once('error', reset.resolve);
    });
    const port = await forwardPort(client, readForwardTo(await portOf(server)));
    const socket = connect(port.port, '127.0.0.1', () => socket.write('x'));
    await came.promise;
    socket.resetAndDestroy();
    expect(await reset.promise).toMatchObject({code: 'ECONNRESET'});
    await port.close();
  });
});

describe('a forwarded port', () => {
  test('leads to its destination; one that is not reached resets its client and says why', async () => {
    const reasons: string[] = [];
    const port = await forwardPort(client, readForwardTo(sink));
    const closed = await forwardPort(client, {
      ...readForwardTo(await unusedPort()),
      onFailed: (error, destination) => reasons.push(`${error.code} ${destination}`),
    });
    expect(port.destination).toBe(`127.0.0.1:${sink}`);
    const socket = connect({port: port.port, host: '127.0.0.1', allowHalfOpen: true});
    socket.end('hello');
    const pieces: Buffer[] = [];
    for await (const piece of socket) pieces.push(piece as Buffer);
    expect(Buffer.concat(pieces).toString()).toMatch(`${SOURCE} 5 `);
    const refused = connect(closed.port, '127.0.0.1');
    const failure = once(refused, 'error');
    refused.write('x');
    expect((await failure)[0]).toMatchObject({code: 'ECONNRESET'});
    expect(reasons).toEqual([`EGRESS_UNREACHABLE ${closed.destination}`]);
    await Promise.all([port.close(), closed.close()]);
    await expect(once(connect(port.port, '127.0.0.1'), 'connect')).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    });
  });

  test('an open connection survives cuts of the link, with equal bytes', async () => {
    const faults = await FaultProxy.start(scope, {target: {port: relay.port}});
    const away: LinkEvent[] = [];
    const other = await openLink({
      relay: `https://${relay.domain}:${faults.port}`,
      token: relay.token,
      caFile: relay.caFile,
      stateDir: await scope.tempDir('state'),
      onEvent: (event) => away.push(event),
    });
    const port = await forwardPort(new EgressClient(other, {egress: 'my-proxy'}), readForwardTo(sink));
    const socket = connect({port: port.port, host: '127.0.0.1', allowHalfOpen: true});
    const hash = createHash('sha256');
    let length = 0;
    for (const direction of ['up', 'down', 'up', 'down', 'up'] as const) {
      // The other direction has only acknowledgements.
      const cut = faults.cutAfter(direction, direction === 'up' ? 100_000 : 20);
      const isCut = cut.then(() => true);
      const soon = () => new Promise<false>((resolve) => setImmediate(() => resolve(false)));
      do {
        const piece = randomBytes(64 * 1024);
        hash.update(piece);
        length += piece.length;
        if (!socket.write(piece)) await Promise.race([once(socket, 'drain'), isCut]);
      } while (!(await Promise.race([isCut, soon()])));
    }
    socket.end();
    const pieces: Buffer[] = [];
    for await (const piece of socket) pieces.push(piece as Buffer);
    expect(Buffer.concat(pieces).toString()).toBe(`${SOURCE} ${length} ${hash.digest('hex')}`);
    expect(away.filter(({type}) => type === 'resumed').length).toBeGreaterThanOrEqual(3);
    await port.close();
    await other.close();
  });
});

test('without a password everybody may use it, and the URL has none', async () => {
  const open = await openProxy(client, {auth: false});
  expect(open).toMatchObject({url: `http://${open.address}`, password: undefined});
  expect(JSON.parse(await curl('--proxy', open.url, `http://127.0.0.1:${web}/`))).toMatchObject({
    from: SOURCE,
  });
  expect(JSON.parse(await curl('--socks5', open.address, `http://127.0.0.1:${web}/`))).toMatchObject({
    from: SOURCE,
  });
  await open.close();
});

function authorization(): string {
  return `Proxy-Authorization: Basic ${Buffer.from(`tunl:${proxy.password}`).toString('base64')}`;
}

function connectRequest(to: string): Buffer {
  return Buffer.from(`CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n${authorization()}\r\n\r\n`);
}

function plainRequest(to: string): Buffer {
  return Buffer.from(
    `GET http://${to}/ HTTP/1.1\r\nHost: ${to}\r\n${authorization()}\r\nConnection: close\r\n\r\n`,
  );
}

/** Greeting, login and request at once: a client need not wait for the answers. */
function socksRequest(to: string): Buffer {
  const at = to.lastIndexOf(':');
  const [host, port] = [to.slice(0, at), Number(to.slice(at + 1))];
  const password = Buffer.from(proxy.password ?? '');
  const login = [Buffer.from([1, 4]), Buffer.from('tunl'), Buffer.from([password.length]), password];
  const request = [
    Buffer.from([5, 1, 0, 3, host.length]),
    Buffer.from(host),
    Buffer.from([port >> 8, port & 255]),
  ];
  return Buffer.concat([Buffer.from([5, 1, 2]), ...login, ...request]);
}

/** Everything that the proxy answers until it ends the connection. */
async function talk(bytes: Buffer): Promise<Buffer> {
  const socket: Socket = connect({port: proxy.port, host: '127.0.0.1', allowHalfOpen: true});
  const pieces: Buffer[] = [];
  socket.on('data', (piece: Buffer) => pieces.push(piece));
  socket.on('error', () => {});
  socket.write(bytes);
  await new Promise((resolve) => socket.once('end', resolve).once('close', resolve));
  socket.destroy();
  return Buffer.concat(pieces);
}

function readForwardTo(port: number): PortForward {
  return {localPort: 0, to: {host: '127.0.0.1', port}};
}

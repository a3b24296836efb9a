// Invalid input from the network: it is refused in time, and nobody else notices.
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {Agent} from 'node:https';
import {createConnection, createServer, type Socket} from 'node:net';
import {connect as connectTls} from 'node:tls';
import {expect} from 'vitest';
import {WebSocket} from 'ws';
import {AGENT_PATH} from '../../src/lib/protocol/wire.js';
import {MiB} from '../helpers/bytes.js';
import {run} from '../helpers/child.js';
import {atMost} from '../helpers/metric.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream, httpUpstream, type Recording, record} from '../helpers/upstreams.js';
import {curl, tcpVisitor, tlsVisitor} from '../helpers/visitors.js';

/** A relay and a working tunnel, which must answer after every attack. */
async function started(scope: Scope) {
  const relay = await startRelayProcess(scope);
  const upstream = await httpUpstream(scope, 'still here');
  const {cli, ready} = await relay.expose(upstream.port, {flags: ['--subdomain', 'good']});
  const {host, port} = ready.tls ?? {host: '', port: 0};
  return {
    relay,
    agent: cli,
    host,
    port,
    async stillServes() {
      expect(await curl(scope, relay.caFile, [`${ready.url}/`])).toMatchObject({
        code: 0,
        stdout: 'still here',
      });
      expect(relay.cli.exit).toBeUndefined();
      expect(relay.cli.stderr).not.toMatch(/\n\s+at /);
    },
  };
}

/** A connection that closes when the relay does. */
async function stranger(scope: Scope, port: number): Promise<Recording> {
  const socket = await tcpVisitor(scope, port);
  socket.on('end', () => socket.end());
  return record(socket);
}

test('bytes that are not TLS', async ({scope}) => {
  const {port, stillServes} = await started(scope);
  const inputs = [
    Buffer.from('GET / HTTP/1.1\r\nHost: good.r1.localhost\r\n\r\n'),
    Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'),
    Buffer.alloc(100_000, 0),
    Buffer.alloc(100_000, 0xff),
    Buffer.from([0x16, 0x03, 0x01, 0x00, 0x00]),
    Buffer.from([0x16, 0x03, 0x01, 0xff, 0xff, 0x01]),
    // The record announces a ClientHello and contains something else.
    Buffer.concat([
      Buffer.from([0x16, 0x03, 0x01, 0x01, 0x00, 0x01, 0x00, 0x00, 0xfc]),
      Buffer.alloc(252, 0xaa),
    ]),
    // An alert, and application data, before any handshake.
    Buffer.from([0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x28]),
    Buffer.concat([Buffer.from([0x17, 0x03, 0x03, 0x00, 0x40]), Buffer.alloc(64, 1)]),
  ];
  for (const input of inputs) {
    const visitor = await stranger(scope, port);
    visitor.socket.write(input);
    await visitor.closed;
    // Without TLS no byte of the tunnel may come.
    expect(visitor.data().toString('latin1')).not.toContain('still here');
  }
  await stillServes();
});

test('no name, a foreign name, and names that are similar to a tunnel’s', async ({scope}) => {
  const {relay, port, stillServes} = await started(scope);
  const names = [
    undefined,
    'localhost',
    'nobody.r1.localhost',
    'good.r2.localhost',
    'good.r1.localhost.evil.test',
    'x.good.r1.localhost',
    'constructor.r1.localhost',
    '__proto__.r1.localhost',
    'toString',
    '*.r1.localhost',
    `${'a'.repeat(63)}.r1.localhost`,
    'xn--mlaut-jva.r1.localhost',
  ];
  for (const name of names) {
    const visitor = connectTls({
      port,
      host: '127.0.0.1',
      rejectUnauthorized: false,
      ...(name !== undefined && {servername: name}),
    });
    scope.onEnd(() => void visitor.destroy());
    let secured = false;
    visitor.on('secureConnect', () => {
      secured = true;
    });
    visitor.on('error', () => {});
    await new Promise((resolve) => visitor.once('close', resolve));
    expect(secured, String(name)).toBe(false);
  }
  const openssl = await run(
    scope,
    'openssl',
    ['s_client', '-connect', `127.0.0.1:${port}`, '-noservername'],
    {input: ''},
  );
  expect(openssl.stdout).toContain('no peer certificate available');
  // Names are case-insensitive, and a dot at the end changes nothing.
  for (const name of ['GOOD.R1.LocalHost', 'good.r1.localhost.']) {
    const got = await openedBy(scope, relay, name);
    expect(got, name).toBe(true);
  }
  await stillServes();
});

/** Whether openssl, which sends the name exactly as given, completes a handshake. */
async function openedBy(scope: Scope, relay: RelayProcess, name: string): Promise<boolean> {
  const args = [
    's_client',
    '-connect',
    `127.0.0.1:${relay.port}`,
    '-servername',
    name,
    '-CAfile',
    relay.caFile,
  ];
  const {stdout} = await run(scope, 'openssl', args, {input: ''});
  return stdout.includes('BEGIN CERTIFICATE');
}

/** A proxy that passes on the first bytes of every visitor in pieces. */
async function inPieces(
  scope: Scope,
  port: number,
  sizes: (offset: number) => number,
  upTo: number,
): Promise<number> {
  const server = createServer({noDelay: true}, (near) => {
    const far = createConnection({port, host: '127.0.0.1', noDelay: true});
    near.on('error', () => far.destroy());
    far.on('error', () => near.destroy());
    far.pipe(near);
    let offset = 0;
    near.on('data', (chunk: Buffer) => {
      near.pause();
      void (async () => {
        for (let at = 0; at < chunk.length; ) {
          const size = offset < upTo ? sizes(offset) : chunk.length;
          far.write(chunk.subarray(at, at + size));
          at += size;
          offset += size;
          await new Promise((resolve) => setImmediate(resolve));
        }
        near.resume();
      })();
    });
    near.on('end', () => far.end());
  });
  return scope.listen(server);
}

test('a ClientHello in pieces of one byte, and cut at any place, is served', async ({scope}) => {
  const {relay, host, port, stillServes} = await started(scope);
  const served = async (via: number) => {
    const visitor = await tlsVisitor(scope, {host, port: via}, {caFile: relay.caFile});
    visitor.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    const chunks: Buffer[] = [];
    for await (const chunk of visitor) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString().includes('still here');
  };
  expect(await served(await inPieces(scope, port, () => 1, 2000))).toBe(true);
  for (const first of [1, 4, 5, 6, 9, 10, 43, 44, 100, 150, 200, 300]) {
    const via = await inPieces(scope, port, (offset) => (offset === 0 ? first : 100_000), 2000);
    expect(await served(via), `cut at ${first}`).toBe(true);
  }
  await stillServes();
});

test('a ClientHello that never ends is closed, by size and by time', async ({scope}) => {
  const {port, stillServes} = await started(scope);
  // By size: a handshake message of 16 MiB, in full records, until the relay closes.
  const endless = await stranger(scope, port);
  const body = Buffer.alloc(16_384, 0);
  Buffer.from([0x01, 0xff, 0xff, 0xff, 0x03, 0x03]).copy(body);
  const header = Buffer.from([0x16, 0x03, 0x01, 0x40, 0x00]);
  let sent = 0;
  let open = true;
  void endless.closed.then(() => {
    open = false;
  });
  while (open && sent < 64 * MiB) {
    endless.socket.write(Buffer.concat([header, sent === 0 ? body : Buffer.alloc(16_384, 0)]));
    sent += 16_384;
    await new Promise((resolve) => setImmediate(resolve));
  }
  await endless.closed;
  expect(sent).toBeLessThan(64 * MiB);
  // By time: one that stops after its first bytes, and one that sends nothing.
  const stalled = await Promise.all(
    Array.from({length: 51}, async (_, i) => {
      const visitor = await stranger(scope, port);
      const since = performance.now();
      if (i > 0) visitor.socket.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00]));
      // Each has its own start time: the time that fifty connections need is not the relay's.
      return {waited: visitor.closed.then(() => performance.now() - since)};
    }),
  );
  await stillServes();
  const waited = Math.max(...(await Promise.all(stalled.map((each) => each.waited))));
  expect.soft(atMost('stalled ClientHello', 'ms until closed', Math.round(waited), 5_000)).toBe(true);
  await stillServes();
});

/** An upgrade request of an agent; the test decides what follows. */
function agentSocket(
  relay: RelayProcess,
  headers: Record<string, string>,
  subprotocol = 'tunl.v1',
): WebSocket {
  return new WebSocket(`wss://127.0.0.1:${relay.port}${AGENT_PATH}`, subprotocol, {
    agent: new Agent({ca: readFileSync(relay.caFile), servername: relay.domain}),
    headers: {host: new URL(relay.url).host, ...headers},
    perMessageDeflate: false,
  });
}

test('agents that are refused get an answer before the upgrade', async ({scope}) => {
  const {relay, stillServes} = await started(scope);
  const status = (headers: Record<string, string>, subprotocol?: string) =>
    new Promise<number>((resolve, reject) => {
      const socket = agentSocket(relay, headers, subprotocol);
      scope.onEnd(() => socket.terminate());
      socket.on('error', reject);
      socket.on('open', () => reject(new Error('let in')));
      socket.on('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
    });
  expect(await status({})).toBe(401);
  expect(await status({authorization: 'Bearer wrong-wrong-wrong-wrong'})).toBe(401);
  expect(await status({authorization: `Basic ${relay.token}`})).toBe(401);
  expect(await status({authorization: `Bearer ${relay.token}`}, 'tunl.v99')).toBe(426);
  await stillServes();
});

test('an agent that violates the protocol is disconnected, and nobody else notices', async ({scope}) => {
  const {relay, stillServes} = await started(scope);
  const authorization = `Bearer ${relay.token}`;
  const messages: (Buffer | string)[] = [
    'text instead of binary',
    Buffer.alloc(0),
    Buffer.alloc(1, 0xff),
    Buffer.alloc(64, 0),
    Buffer.alloc(64, 0xff),
    Buffer.alloc(MiB, 0xaa),
    Buffer.from('{"type":"hello"}'),
    ...Array.from({length: 32}, (_, type) => Buffer.from([type, 0, 0, 0, 1, 0, 0, 0, 4, 1, 2, 3, 4])),
  ];
  for (const message of messages) {
    const socket = agentSocket(relay, {authorization});
    scope.onEnd(() => socket.terminate());
    socket.on('error', () => {});
    await once(socket, 'open');
    socket.send(message);
    // Input that is incomplete gets more bytes, until it is invalid.
    const more = setInterval(
      () => socket.readyState === socket.OPEN && socket.send(Buffer.alloc(4096, 0xee)),
      20,
    );
    // Not `once` of node:events: it rejects when the relay resets because of unread bytes.
    await new Promise((resolve) => socket.once('close', resolve));
    clearInterval(more);
  }
  await stillServes();
});

test('invalid WebSocket frames', async ({scope}) => {
  const {relay, stillServes} = await started(scope);
  const frames: [string, Buffer][] = [
    [
      'a length of 2^63',
      Buffer.from([0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
    ],
    ['no mask', Buffer.from([0x82, 0x05, 1, 2, 3, 4, 5])],
    ['a reserved bit', Buffer.from([0xf2, 0x80, 0, 0, 0, 0])],
    ['a reserved opcode', Buffer.from([0x83, 0x80, 0, 0, 0, 0])],
    ['a long ping', Buffer.concat([Buffer.from([0x89, 0xfe, 0x01, 0x00, 0, 0, 0, 0]), Buffer.alloc(256)])],
    ['a fragmented ping', Buffer.from([0x09, 0x80, 0, 0, 0, 0])],
    ['a continuation without a message', Buffer.from([0x80, 0x80, 0, 0, 0, 0])],
    [
      'empty fragments',
      Buffer.concat(
        Array.from({length: 200_000}, (_, i) => Buffer.from([i === 0 ? 0x02 : 0, 0x80, 0, 0, 0, 0])),
      ),
    ],
    ['noise', Buffer.alloc(100_000, 0x5a)],
  ];
  const before = relay.cli.rssBytes();
  for (const [, bytes] of frames) {
    const socket = agentSocket(relay, {authorization: `Bearer ${relay.token}`});
    scope.onEnd(() => socket.terminate());
    socket.on('error', () => {});
    const [response] = (await once(socket, 'upgrade')) as [{socket: Socket}];
    // Not `once` of node:events: it rejects when the relay resets because of unread bytes.
    const closed = new Promise((resolve) => response.socket.once('close', resolve));
    response.socket.write(bytes);
    await closed;
  }
  const grown = Math.max(0, relay.cli.rssBytes() - before);
  expect.soft(atMost('broken WebSocket frames', 'relay RSS growth bytes', grown, 48 * MiB)).toBe(true);
  await stillServes();
});

test('an agent that stops reading holds up only its own visitors', async ({scope}) => {
  const {relay, stillServes} = await started(scope);
  const {cli: frozen, ready} = await relay.expose(await echoUpstream(scope), {flags: ['--tcp']});
  const visitor = await tcpVisitor(scope, ready.tcp?.port ?? 0);
  visitor.on('error', () => {});
  visitor.write('x');
  await once(visitor, 'data');
  const before = relay.cli.rssBytes();
  frozen.signal('SIGSTOP');
  scope.onEnd(() => frozen.signal('SIGCONT'));
  let accepted = 0;
  const piece = Buffer.alloc(MiB);
  while (accepted < 64) {
    if (!visitor.write(piece)) {
      const timeout = AbortSignal.timeout(1500);
      const taken = await once(visitor, 'drain', {signal: timeout}).then(
        () => true,
        () => false,
      );
      if (!taken) break;
    }
    accepted += 1;
  }
  expect(accepted).toBeLessThan(64);
  for (let i = 0; i < 5; i++) await stillServes();
  const grown = Math.max(0, relay.cli.rssBytes() - before);
  expect.soft(atMost('agent that stopped reading', 'relay RSS growth bytes', grown, 48 * MiB)).toBe(true);
});

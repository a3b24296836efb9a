// ClientHellos in pieces and in records of any size, at a real relay with two tunnels: each leads to its own tunnel. One without
// a single clear name is closed, and leads to none.
import {readFile} from 'node:fs/promises';
import type {Socket} from 'node:net';
import {Duplex} from 'node:stream';
import {connect} from 'node:tls';
import {expect} from 'vitest';
import {atLeast, atMost} from '../helpers/metric.js';
import {startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {httpUpstream, record} from '../helpers/upstreams.js';
import {tcpVisitor} from '../helpers/visitors.js';
import {
  chromiumHello,
  extension,
  hostName,
  message,
  records,
  renamed,
  serverName,
  u8,
  unwrapped,
} from '../unit/bytes/hellos.js';
import {sized} from './rig.js';

// The name in the recorded hello of Chromium is below it.
const domain = 'tunl.localhost';
const labels = ['demo', 'other'] as const;
/** Places of a split: each of them in the long form. */
const step = sized(37, 1);

async function started(scope: Scope) {
  // All come from one address, which would be refused after some hundred failures.
  const relay = await startRelayProcess(scope, {domain, flags: ['--trusted-source', '127.0.0.1']});
  const tunnels = await Promise.all(
    labels.map(async (label) => {
      const {port} = await httpUpstream(scope, `the page of ${label}`);
      return await relay.expose(port, {flags: ['--subdomain', label]});
    }),
  );
  const visits = () =>
    tunnels.flatMap(({cli}) =>
      cli.events.filter((event) => event.type === 'connection' && event.state === 'open'),
    ).length;
  return {relay, visits, ca: await readFile(relay.caFile)};
}

/** Changes the first bytes that are written, which are a ClientHello; the rest passes. */
class Cut extends Duplex {
  readonly #raw: Socket;
  #cut: ((hello: Buffer) => readonly Buffer[]) | undefined;
  length = 0;

  constructor(raw: Socket, cut: (hello: Buffer) => readonly Buffer[]) {
    super();
    this.#raw = raw;
    this.#cut = cut;
    raw.on('data', (chunk) => this.push(chunk));
    raw.on('end', () => this.push(null));
    raw.on('error', () => this.destroy());
    raw.on('close', () => this.destroy());
  }

  override _read(): void {
    this.#raw.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const pieces = this.#cut?.(chunk) ?? [chunk];
    if (this.#cut !== undefined) this.length = chunk.length;
    this.#cut = undefined;
    const next = (at: number) => {
      const piece = pieces[at];
      if (piece === undefined) done();
      // In the next turn, so that the kernel sends it alone.
      else this.#raw.write(piece, () => setImmediate(next, at + 1));
    };
    next(0);
  }

  override _final(done: () => void): void {
    this.#raw.end(done);
  }
}

const every = (bytes: Buffer, size: number) =>
  Array.from({length: Math.ceil(bytes.length / size)}, (_, at) => bytes.subarray(at * size, (at + 1) * size));
const ways: Record<string, (hello: Buffer) => readonly Buffer[]> = {
  whole: (hello) => [hello],
  'byte by byte': (hello) => every(hello, 1),
  'seven bytes at a time': (hello) => every(hello, 7),
  'records of one byte in part': (hello) => [records(unwrapped(hello), Array(300).fill(1))],
  'records of 50 bytes': (hello) => [records(unwrapped(hello), Array(60).fill(50))],
  'records of 50 bytes, byte by byte': (hello) => every(records(unwrapped(hello), Array(60).fill(50)), 1),
};

test('each leads to its own tunnel, whatever the pieces and records are', async ({scope}) => {
  const {relay, ca} = await started(scope);
  /** The page behind the name, or the reason why there is none. */
  const page = async (label: string, cut: (hello: Buffer) => readonly Buffer[], options: object = {}) => {
    const socket = new Cut(await tcpVisitor(scope, relay.port), cut);
    const servername = `${label}.${domain}`;
    const visitor = connect({socket, servername, ca, ...options});
    const seen = record(visitor);
    visitor.write(`GET / HTTP/1.1\r\nHost: ${servername}\r\nConnection: close\r\n\r\n`);
    await Promise.race([seen.ended, seen.closed]);
    visitor.destroy();
    const said = seen.data().toString();
    return {length: socket.length, said: labels.find((each) => said.includes(`the page of ${each}`)) ?? said};
  };
  const count = {tried: 0, right: 0, wrong: 0};
  const note = (label: string, said: string) => {
    count.tried += 1;
    if (said === label) count.right += 1;
    else if (labels.some((each) => each === said)) count.wrong += 1;
    else expect.soft(said).toBe(label);
  };
  for (const label of labels) {
    for (const options of [{}, {maxVersion: 'TLSv1.2'}, {ALPNProtocols: ['http/1.1']}]) {
      for (const cut of Object.values(ways)) note(label, (await page(label, cut, options)).said);
    }
  }
  const {length} = await page('demo', (hello) => [hello]);
  for (let at = 1; at < length; at += step) {
    const label = labels[at % 2] ?? 'demo';
    note(label, (await page(label, (hello) => [hello.subarray(0, at), hello.subarray(at)])).said);
  }
  const name = 'ClientHellos in pieces';
  expect(atLeast(name, 'hellos that led to their tunnel', count.right, count.tried)).toBe(true);
  expect(atMost(name, 'hellos that led to another tunnel', count.wrong, 0)).toBe(true);
});

/** The first byte of the relay's answer: 22 begins a handshake, 21 is an alert. */
async function answerTo(scope: Scope, port: number, pieces: readonly Buffer[]): Promise<number | 'closed'> {
  const visitor = record(await tcpVisitor(scope, port));
  visitor.socket.on('end', () => visitor.socket.end());
  for (const piece of pieces) {
    if (visitor.socket.destroyed) break;
    await new Promise((resolve) => visitor.socket.write(piece, resolve));
  }
  await Promise.race([visitor.received(1), visitor.ended, visitor.closed]);
  const [first] = visitor.data();
  visitor.socket.destroy();
  return first ?? 'closed';
}

test('the hello of a post-quantum Chromium with GREASE leads to its tunnel, in any pieces', async ({
  scope,
}) => {
  const {relay} = await started(scope);
  const {bytes} = chromiumHello();
  const splits = Array.from({length: Math.ceil(bytes.length / step)}, (_, i) => 1 + i * step)
    .filter((at) => at < bytes.length)
    .map((at) => [bytes.subarray(0, at), bytes.subarray(at)]);
  const all = [...Object.values(ways).map((cut) => cut(bytes)), ...splits];
  let right = 0;
  for (const pieces of all) right += (await answerTo(scope, relay.port, pieces)) === 22 ? 1 : 0;
  expect(atLeast('a ClientHello of Chromium in pieces', 'handshakes begun', right, all.length)).toBe(true);
});

test('one without a single clear name is closed, and leads to no tunnel', async ({scope}) => {
  const {relay, visits} = await started(scope);
  const [demo, other] = labels.map((label) => hostName(`${label}.${domain}`)) as [Buffer, Buffer];
  const real = unwrapped(chromiumHello().bytes);
  const named = (...names: readonly Buffer[]) => renamed(real, ...names);
  const unclear: Record<string, Buffer> = {
    'no name': named(),
    'no extensions': message([], {rest: Buffer.alloc(0)}),
    'two names': named(serverName(demo, other)),
    'the same name twice': named(serverName(demo, demo)),
    'two server name extensions': named(serverName(demo), serverName(other)),
    'another kind of name': named(serverName(hostName(`demo.${domain}`, 1))),
    'an address': named(serverName(hostName('127.0.0.1'))),
    'an empty name': named(serverName(hostName(''))),
    'an unknown name': named(serverName(hostName(`nobody.${domain}`))),
    'the name below another': named(serverName(hostName(`demo.other.${domain}`))),
    'a name that ends early': named(extension(0, u8(0))),
  };
  // With one clear name the same hello begins a handshake.
  expect(await answerTo(scope, relay.port, [records(named(serverName(demo)))])).toBe(22);
  let closed = 0;
  let tried = 0;
  for (const [what, hello] of Object.entries(unclear)) {
    for (const [how, cut] of Object.entries(ways)) {
      tried += 1;
      const answer = await answerTo(scope, relay.port, cut(records(hello)));
      expect.soft([what, how, answer]).toEqual([what, how, answer === 21 ? 21 : 'closed']);
      closed += answer === 22 ? 0 : 1;
    }
  }
  const name = 'ClientHellos without a clear name';
  expect(atLeast(name, 'closed', closed, tried)).toBe(true);
  expect(atMost(name, 'visits of a tunnel', visits(), 0)).toBe(true);
});

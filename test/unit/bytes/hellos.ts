// ClientHellos for tests: those of real programs, and built ones with one chosen error.
import {readFileSync} from 'node:fs';
import {createServer} from 'node:net';
import {connect} from 'node:tls';
import {Child} from '../../helpers/child.js';
import type {Scope} from '../../helpers/scope.js';

export interface Captured {
  /** The bytes of the first message, record headers included. */
  bytes: Buffer;
  serverName: string | undefined;
  alpn: string[];
}

/** Chromium 156, recorded: post-quantum key share, GREASE, ECH, 1,959 bytes. */
export function chromiumHello(): Captured {
  const text = readFileSync(new URL('./chromium-156-hello.base64', import.meta.url), 'utf8');
  return {bytes: Buffer.from(text, 'base64'), serverName: 'demo.tunl.localhost', alpn: ['h2', 'http/1.1']};
}

/** The first message of a program to a listener that sends nothing. */
async function firstMessage(scope: Scope, start: (port: number) => void): Promise<Buffer> {
  const {promise, resolve} = Promise.withResolvers<Buffer>();
  const listener = createServer((socket) => {
    let all = Buffer.alloc(0);
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      all = Buffer.concat([all, chunk]);
      const end = all.length < 5 ? Number.POSITIVE_INFINITY : 5 + all.readUInt16BE(3);
      if (all.length < end) return;
      resolve(all.subarray(0, end));
      socket.destroy();
    });
  });
  start(await scope.listen(listener));
  return promise;
}

export async function capture(scope: Scope): Promise<Map<string, Captured>> {
  const name = 'demo.tunl.localhost';
  const child = (command: string, args: (port: number) => string[]) =>
    firstMessage(scope, (port) => void Child.start(scope, command, args(port)));
  const node = (options: object) =>
    firstMessage(scope, (port) => {
      const socket = connect({port, host: '127.0.0.1', ...options});
      socket.on('error', () => {});
      scope.onEnd(() => void socket.destroy());
    });
  const openssl = (...args: string[]) =>
    child('openssl', (port) => ['s_client', '-connect', `127.0.0.1:${port}`, ...args]);
  return new Map<string, Captured>([
    ['chromium', chromiumHello()],
    [
      'node',
      {
        bytes: await node({servername: name, ALPNProtocols: ['h2', 'http/1.1']}),
        serverName: name,
        alpn: ['h2', 'http/1.1'],
      },
    ],
    ['node without a name', {bytes: await node({servername: ''}), serverName: undefined, alpn: []}],
    [
      'node, TLS 1.2',
      {bytes: await node({servername: name, maxVersion: 'TLSv1.2'}), serverName: name, alpn: []},
    ],
    [
      'openssl',
      {
        bytes: await openssl('-servername', 'DEMO.tunl.LocalHost', '-alpn', 'x'),
        serverName: name,
        alpn: ['x'],
      },
    ],
    ['openssl without a name', {bytes: await openssl('-noservername'), serverName: undefined, alpn: []}],
    [
      'curl',
      {
        bytes: await child('curl', (port) => [
          '-s',
          '--noproxy',
          '*',
          '--connect-to',
          `::127.0.0.1:${port}`,
          `https://${name}/`,
        ]),
        serverName: name,
        alpn: ['h2', 'http/1.1'],
      },
    ],
  ]);
}

export const u8 = (value: number) => Buffer.from([value]);
export const u16 = (value: number) => Buffer.from([value >> 8, value & 0xff]);
export const vector8 = (...parts: Buffer[]) => Buffer.concat([u8(Buffer.concat(parts).length), ...parts]);
export const vector16 = (...parts: Buffer[]) => Buffer.concat([u16(Buffer.concat(parts).length), ...parts]);
export const extension = (type: number, ...data: Buffer[]) => Buffer.concat([u16(type), vector16(...data)]);
export const hostName = (name: string | Buffer, type = 0) =>
  Buffer.concat([u8(type), vector16(Buffer.from(name))]);
export const serverName = (...names: Buffer[]) => extension(0, vector16(...names));
export const alpn = (...names: string[]) =>
  extension(16, vector16(...names.map((name) => vector8(Buffer.from(name)))));

export interface Built {
  sessionId?: Buffer;
  cipherSuites?: Buffer;
  compression?: Buffer;
  /** The bytes after the compression methods. */
  rest?: Buffer;
}

/** The message with its header, without records. */
export function message(extensions: readonly Buffer[], built: Built = {}, type = 1): Buffer {
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 7),
    built.sessionId ?? vector8(),
    built.cipherSuites ?? vector16(u16(0x1301)),
    built.compression ?? vector8(u8(0)),
    built.rest ?? vector16(...extensions),
  ]);
  return Buffer.concat([u8(type), u8(body.length >> 16), u16(body.length & 0xffff), body]);
}

/** The message cut into records of the given lengths; the rest goes into full records. */
export function records(whole: Buffer, lengths: Iterable<number> = []): Buffer {
  const out: Buffer[] = [];
  let at = 0;
  const put = (length: number) => {
    out.push(Buffer.from([22, 3, 1]), vector16(whole.subarray(at, at + length)));
    at += length;
  };
  for (const length of lengths) if (at < whole.length) put(Math.min(length, whole.length - at));
  while (at < whole.length) put(Math.min(16_384, whole.length - at));
  return Buffer.concat(out);
}

/** The message of a real program with other server names: a server that takes them begins a handshake. */
export function renamed(whole: Buffer, ...names: readonly Buffer[]): Buffer {
  let at = 4 + 2 + 32;
  const vector = (width: 1 | 2) => {
    const length = whole.readUIntBE(at, width);
    at += width + length;
    return whole.subarray(at - width - length, at);
  };
  const [sessionId, cipherSuites, compression] = [vector(1), vector(2), vector(1)];
  at += 2;
  const others: Buffer[] = [];
  while (at < whole.length) {
    const type = whole.readUInt16BE(at);
    at += 2;
    const data = vector(2);
    if (type !== 0) others.push(Buffer.concat([u16(type), data]));
  }
  return message([...names, ...others], {sessionId, cipherSuites, compression});
}

/** The message from captured records. */
export function unwrapped(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) {
    parts.push(bytes.subarray(at + 5, at + 5 + bytes.readUInt16BE(at + 3)));
  }
  return Buffer.concat(parts);
}

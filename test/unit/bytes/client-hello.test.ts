import fc from 'fast-check';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {
  ClientHelloReader,
  type ClientHelloResult,
  MAX_CLIENT_HELLO_BYTES,
} from '../../../src/lib/bytes/client-hello.js';
import {atLeast} from '../../helpers/metric.js';
import {Scope} from '../../helpers/scope.js';
import {
  alpn,
  type Captured,
  capture,
  chromiumHello,
  extension,
  hostName,
  message,
  records,
  serverName,
  u8,
  u16,
  unwrapped,
  vector8,
  vector16,
} from './hellos.js';

/** The result when the bytes come in pieces of these lengths, and the rest in one. */
function read(bytes: Buffer, lengths: Iterable<number> = []): ClientHelloResult {
  const reader = new ClientHelloReader();
  let result: ClientHelloResult = reader.push(Buffer.alloc(0));
  let at = 0;
  for (const length of lengths) {
    result = reader.push(bytes.subarray(at, at + length));
    at = Math.min(bytes.length, at + length);
  }
  result = reader.push(bytes.subarray(at));
  expect(reader.bytes.equals(bytes)).toBe(true);
  return result;
}

const inBytes = (bytes: Buffer) =>
  read(
    bytes,
    Array.from(bytes, () => 1),
  );
const refusal = (reason: string) => ({state: 'refused', reason});
const hello = (name: string | undefined, protocols: string[] = []) => ({
  state: 'hello',
  serverName: name,
  alpn: protocols,
});

describe('the hellos of real programs', () => {
  const scope = new Scope();
  let captured: Map<string, Captured>;
  beforeAll(async () => {
    captured = await capture(scope);
  });
  afterAll(() => scope[Symbol.asyncDispose]());
  const each = (check: (bytes: Buffer, wanted: object, name: string) => void) => {
    expect(captured.size).toBe(7);
    for (const [name, {bytes, ...wanted}] of captured) check(bytes, {state: 'hello', ...wanted}, name);
  };

  test('are read in one piece, with and without later bytes', () => {
    each((bytes, wanted, name) => {
      expect(read(bytes), name).toEqual(wanted);
      expect(read(Buffer.concat([bytes, Buffer.alloc(100_000, 0xaa)])), name).toEqual(wanted);
    });
  });

  test('are read when split at any place, and not before the last byte', () => {
    let splits = 0;
    let right = 0;
    each((bytes, wanted, name) => {
      for (let at = 1; at < bytes.length; at += 1) {
        splits += 1;
        const reader = new ClientHelloReader();
        if (reader.push(bytes.subarray(0, at)).state !== 'need-more')
          expect.fail(`${name}: an answer after ${at} bytes`);
        const result = reader.push(bytes.subarray(at));
        if (at < 200 || at % 97 === 0 || result.state !== 'hello')
          expect(result, `${name} at ${at}`).toEqual(wanted);
        right += result.state === 'hello' ? 1 : 0;
      }
    });
    expect(
      atLeast('ClientHellos of real programs', 'two-way splits read as in one piece', right, splits),
    ).toBe(true);
  });

  test('are read byte by byte', () => {
    each((bytes, wanted, name) => expect(inBytes(bytes), name).toEqual(wanted));
  });

  test('are read from records of any size in pieces of any size', () => {
    const sizes = fc.array(fc.integer({min: 1, max: 700}), {maxLength: 60});
    each((bytes, wanted, name) => {
      const whole = unwrapped(bytes);
      expect(
        inBytes(
          records(
            whole,
            Array.from(whole, () => 1),
          ),
        ),
        name,
      ).toEqual(wanted);
      fc.assert(
        fc.property(sizes, sizes, (recordSizes, pieceSizes) => {
          expect(read(records(whole, recordSizes), pieceSizes), name).toEqual(wanted);
        }),
      );
    });
  });

  test('changed at random give a result, the same for any split', () => {
    const change = fc.tuple(
      fc.nat(),
      fc.constantFrom('set', 'cut', 'double', 'insert'),
      fc.integer({min: 0, max: 255}),
    );
    each((bytes) => {
      fc.assert(
        fc.property(
          fc.array(change, {minLength: 1, maxLength: 8}),
          fc.array(fc.integer({min: 1, max: 400})),
          (changes, sizes) => {
            let changed = Buffer.from(bytes);
            for (const [place, kind, value] of changes) {
              const at = place % Math.max(1, changed.length);
              const [head, tail] = [changed.subarray(0, at), changed.subarray(at)];
              if (kind === 'set') changed[at] = value;
              else if (kind === 'cut') changed = Buffer.concat([head, tail.subarray(value)]);
              else if (kind === 'insert') changed = Buffer.concat([head, Buffer.from([value]), tail]);
              else changed = Buffer.concat([head, tail.subarray(0, value), tail]);
            }
            const answer = read(changed);
            expect(read(changed, sizes)).toEqual(answer);
            expect(inBytes(changed)).toEqual(answer);
          },
        ),
        {numRuns: 60},
      );
    });
  });
});

test('random bytes give a result, the same for any split', () => {
  const start = fc.constantFrom(
    '',
    '\x16\x03\x01',
    '\x16\x03\x01\x00\x05\x01\x00\x00\x01',
    'GET',
    '\x80\x2e\x01',
    'PRI * HTTP',
  );
  fc.assert(
    fc.property(
      start,
      fc.uint8Array({maxLength: 400}),
      fc.array(fc.integer({min: 1, max: 50})),
      (text, bytes, sizes) => {
        const all = Buffer.concat([Buffer.from(text, 'latin1'), bytes]);
        const answer = read(all);
        expect(read(all, sizes)).toEqual(answer);
        expect(inBytes(all)).toEqual(answer);
      },
    ),
    {numRuns: 500},
  );
});

describe('input that is not TLS', () => {
  test.each([
    'GET / HTTP/1.1\r\n',
    'HEAD / ',
    'POST /x',
    'PUT /',
    'PATCH /',
    'DELETE /',
    'OPTIONS *',
    'CONNECT a:1',
    'TRACE /',
    'PRI * HTTP/2.0',
  ])('%j is HTTP', (text) => {
    expect(read(Buffer.from(text))).toEqual(refusal('http'));
    expect(inBytes(Buffer.from(text))).toEqual(refusal('http'));
  });

  test.each([
    ['', {state: 'need-more'}],
    ['GE', {state: 'need-more'}],
    ['P', {state: 'need-more'}],
    ['\x16', {state: 'need-more'}],
    ['\x80\x2e', {state: 'need-more'}],
    ['\x80\x2e\x01\x03\x01', refusal('sslv2')],
    ['\x80\x2e\x04', refusal('not-tls')],
    ['GETTY', refusal('not-tls')],
    ['get / HTTP/1.1', refusal('not-tls')],
    ['SSH-2.0-OpenSSH_9.2', refusal('not-tls')],
    ['PROXY TCP4 ', refusal('not-tls')],
    ['\0', refusal('not-tls')],
    ['\x15\x03\x01\0\x02\x02\x28', refusal('not-tls')],
    ['\x16\x02', refusal('not-tls')],
    ['\x16\x16\x16', refusal('not-tls')],
  ])('%j', (text, result) => {
    expect(read(Buffer.from(text, 'latin1'))).toEqual(result);
  });
});

describe('records and lengths', () => {
  const whole = message([serverName(hostName('demo.example'))]);

  test('the shortest possible hello has no extensions', () => {
    expect(read(records(message([], {rest: Buffer.alloc(0)})))).toEqual(hello(undefined));
    expect(read(records(message([])))).toEqual(hello(undefined));
  });

  test('an empty record is refused, at the start and in the middle', () => {
    const empty = Buffer.from([22, 3, 1, 0, 0]);
    expect(read(Buffer.concat([empty, records(whole)]))).toEqual(refusal('empty-record'));
    expect(read(Buffer.concat([records(whole.subarray(0, 9)), empty, records(whole.subarray(9))]))).toEqual(
      refusal('empty-record'),
    );
  });

  test('a record of another type in the middle is refused', () => {
    const alert = Buffer.from([21, 3, 1, 0, 2, 1, 0]);
    expect(read(Buffer.concat([records(whole.subarray(0, 9)), alert, records(whole.subarray(9))]))).toEqual(
      refusal('malformed'),
    );
  });

  test('a record longer than TLS allows is refused by its header', () => {
    expect(read(Buffer.from([22, 3, 1, 0x40, 0x01]))).toEqual(refusal('malformed'));
  });

  test('a handshake message of another type is refused by its first byte', () => {
    expect(read(records(message([], {}, 2)).subarray(0, 6))).toEqual(refusal('not-hello'));
  });

  test('an announced length over the limit is refused before its bytes come', () => {
    expect(read(Buffer.from([22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff]))).toEqual(refusal('too-large'));
  });

  test('a long hello passes up to the limit, record headers included', () => {
    const padded = (length: number) =>
      message([serverName(hostName('demo.example')), extension(21, Buffer.alloc(length))]);
    const overhead = records(padded(50_000)).length - 50_000;
    const largest = records(padded(MAX_CLIENT_HELLO_BYTES - overhead));
    expect(largest.length).toBe(MAX_CLIENT_HELLO_BYTES);
    expect(read(largest)).toEqual(hello('demo.example'));
    expect(inBytes(largest)).toEqual(hello('demo.example'));
    const larger = records(padded(MAX_CLIENT_HELLO_BYTES - overhead + 1));
    expect(read(larger)).toEqual(refusal('too-large'));
    expect(inBytes(larger)).toEqual(refusal('too-large'));
  });

  test('records of one byte each cannot exceed the limit', () => {
    const long = message([extension(21, Buffer.alloc(20_000))]);
    expect(
      read(
        records(
          long,
          Array.from(long, () => 1),
        ),
      ),
    ).toEqual(refusal('too-large'));
  });

  test('kept memory can be released at once', () => {
    const reader = new ClientHelloReader();
    const start = records(message([extension(21, Buffer.alloc(20_000))])).subarray(0, 15_000);
    for (let at = 0; at < start.length; at += 1_000) reader.push(Buffer.from(start.subarray(at, at + 1_000)));
    const memory = reader.bytes.buffer;
    expect(reader.bytes.equals(start)).toBe(true);
    reader.release();
    expect([memory.byteLength, reader.bytes.length]).toEqual([0, 0]);
  });

  test('a hello that never ends is refused at the limit, and the kept memory is at most twice the input', () => {
    const long = message([extension(21, Buffer.alloc(65_000))]);
    const bytes = records(
      long,
      Array.from({length: 300}, () => 250),
    );
    const reader = new ClientHelloReader();
    let pieces = 0;
    while (reader.push(bytes.subarray(pieces, pieces + 1)).state === 'need-more') pieces += 1;
    expect(reader.push(Buffer.alloc(0))).toEqual(refusal('too-large'));
    expect(reader.bytes.length).toBe(MAX_CLIENT_HELLO_BYTES);
    expect(reader.bytes.buffer.byteLength).toBeLessThanOrEqual(2 * MAX_CLIENT_HELLO_BYTES);
  });

  test('the result stays, and the input chunk is never written to', () => {
    const reader = new ClientHelloReader();
    const bytes = records(whole);
    const [head, tail] = [Buffer.from(bytes.subarray(0, 10)), Buffer.from(bytes.subarray(10))];
    expect(reader.push(head)).toEqual({state: 'need-more'});
    expect(reader.push(tail)).toEqual(hello('demo.example'));
    expect(reader.push(Buffer.from('GET / HTTP/1.1'))).toEqual(hello('demo.example'));
    expect(head.equals(bytes.subarray(0, 10)) && tail.equals(bytes.subarray(10))).toBe(true);
  });
});

describe('the structure', () => {
  const good = serverName(hostName('demo.example'));
  const short = (whole: Buffer, by: number) => {
    const cut = Buffer.from(whole.subarray(0, whole.length - by));
    cut.writeUIntBE(cut.length - 4, 1, 3);
    return cut;
  };
  test.each<[string, Buffer]>([
    ['session id of 33 bytes', message([good], {sessionId: vector8(Buffer.alloc(33))})],
    ['no cipher suites', message([good], {cipherSuites: vector16()})],
    ['half a cipher suite', message([good], {cipherSuites: vector16(Buffer.alloc(3))})],
    ['no compression method', message([good], {compression: vector8()})],
    ['bytes after the extensions', message([], {rest: Buffer.concat([vector16(good), u8(0)])})],
    ['half a length of extensions', message([], {rest: u8(0)})],
    ['extensions that end early', short(message([good]), 1)],
    ['an extension beyond the end', message([], {rest: vector16(u16(0), u16(9), u8(0))})],
    ['half a head of an extension', message([good, Buffer.from([0, 21, 0])])],
    ['an empty message', Buffer.from([1, 0, 0, 0])],
    ['two ALPN extensions', message([alpn('h2'), alpn('h2')])],
    ['empty ALPN', message([extension(16)])],
    ['an empty ALPN list', message([extension(16, vector16())])],
    ['an empty protocol', message([alpn('')])],
    ['a protocol beyond the end', message([extension(16, vector16(u8(9), u8(1)))])],
    ['bytes after the ALPN list', message([extension(16, vector16(vector8(u8(65))), u8(0))])],
  ])('%s: malformed', (_what, whole) => {
    expect(read(records(whole))).toEqual(refusal('malformed'));
    expect(inBytes(records(whole))).toEqual(refusal('malformed'));
  });

  test('every hello that ends early is malformed, never one without a name', () => {
    const whole = message([alpn('h2', 'http/1.1'), good]);
    for (let by = 1; by < whole.length - 4; by += 1) {
      const result = read(records(short(whole, by)));
      // Cut right after the compression methods, it is a complete hello of the old kind.
      if (by === whole.length - 4 - 41) expect(result).toEqual(hello(undefined));
      else expect(result).toMatchObject({state: 'refused'});
    }
  });

  test('GREASE is ignored', () => {
    const whole = message([extension(0x0a0a), good, extension(0xdada, u8(0)), alpn('\x0a\x0a', 'h2')]);
    expect(read(records(whole))).toEqual(hello('demo.example', ['\x0a\x0a', 'h2']));
  });
});

describe('the server name', () => {
  const named = (...names: (string | Buffer)[]) =>
    read(records(message([serverName(...names.map((name) => hostName(name)))])));
  const long = `${'a'.repeat(63)}.`.repeat(4);

  test.each([
    ['demo.example', 'demo.example'],
    ['DEMO.Example', 'demo.example'],
    ['demo.example.', 'demo.example'],
    ['localhost', 'localhost'],
    ['a_b.xn--bcher-kva.example', 'a_b.xn--bcher-kva.example'],
    ['__proto__.example', '__proto__.example'],
    ['constructor', 'constructor'],
    [long.slice(0, -1), long.slice(0, -1)],
    ['127.0.0.1', undefined],
    ['127.0.0.1.', undefined],
    ['::1', undefined],
    ['[::1]', undefined],
    ['1.2.3.example', '1.2.3.example'],
  ])('%s', (name, wanted) => {
    expect(named(name)).toEqual(hello(wanted));
  });

  test.each<[string, string | Buffer]>([
    ['empty', ''],
    ['a dot', '.'],
    ['two dots at the end', 'demo.example..'],
    ['an empty label', 'demo..example'],
    ['a dot in front', '.demo.example'],
    ['NUL', 'demo.example\0.evil.example'],
    ['a space', 'demo example'],
    ['a line end', 'demo.example\r\n'],
    ['a path', 'demo.example/x'],
    ['a port', 'demo.example:443'],
    ['a wildcard', '*.example'],
    ['UTF-8', 'bücher.example'],
    ['Latin-1', Buffer.from('b\xfccher.example', 'latin1')],
    ['the Kelvin sign', '\u212aiosk.example'],
    ['a label of 64', `${'a'.repeat(64)}.example`],
    ['256 characters', long],
    ['50,000 characters', 'a.'.repeat(25_000)],
  ])('%s is refused', (_what, name) => {
    expect(named(name)).toEqual(refusal('server-name'));
  });

  test.each<[string, Buffer[]]>([
    ['two names', [serverName(hostName('a.example'), hostName('b.example'))]],
    ['the same name twice', [serverName(hostName('a.example'), hostName('a.example'))]],
    ['two extensions', [serverName(hostName('a.example')), serverName(hostName('b.example'))]],
    [
      'two extensions, one with an address',
      [serverName(hostName('127.0.0.1')), serverName(hostName('b.example'))],
    ],
    ['another type of name', [serverName(hostName('a.example', 1))]],
    ['an empty list', [serverName()]],
    ['an empty extension', [extension(0)]],
    ['a list beyond its end', [extension(0, u16(99), hostName('a.example'))]],
    ['a name beyond its end', [extension(0, vector16(u8(0), u16(99), u8(65)))]],
    ['bytes after the list', [extension(0, vector16(hostName('a.example')), u8(0))]],
  ])('%s: refused', (_what, extensions) => {
    expect(read(records(message(extensions)))).toEqual(refusal('server-name'));
  });
});

test('a post-quantum hello is longer than one segment', () => {
  expect(chromiumHello().bytes.length).toBeGreaterThan(1500);
});

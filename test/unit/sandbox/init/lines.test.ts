import fc from 'fast-check';
import {describe, expect} from 'vitest';
import {TunlError} from '../../../../src/lib/core/errors.js';
import {MalformedMessage, parseJsonObject} from '../../../../src/lib/protocol/fields.js';
import {encodeLine, LineReader} from '../../../../src/lib/protocol/lines.js';
import {readEntry, readFileAnswer, readFileRequest} from '../../../../src/lib/sandbox/init/file-wire.js';
import {
  readExecAnswer,
  readExecOrder,
  readExecRequest,
  readServiceOpen,
} from '../../../../src/lib/sandbox/init/wire.js';
import {test} from '../../../helpers/test.js';

/** Cuts bytes at the given places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...places.map((place) => place % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return ends.map((end, at) => bytes.subarray(ends[at - 1] ?? 0, end));
}

function readAll(reader: LineReader, pieces: readonly Buffer[]): string[] {
  const lines: string[] = [];
  for (const piece of pieces) {
    reader.push(piece);
    for (let line = reader.next(); line !== undefined; line = reader.next())
      lines.push(line.toString('latin1'));
  }
  return lines;
}

const anyLines = fc.array(fc.string({maxLength: 50}).map((text) => text.replaceAll('\n', ' ')));

describe('lines', () => {
  test('come out whole, however the bytes are cut', () => {
    fc.assert(
      fc.property(anyLines, fc.string({maxLength: 20}), fc.array(fc.nat()), (lines, rest, places) => {
        const tail = rest.replaceAll('\n', ' ');
        const bytes = Buffer.from([...lines, tail].join('\n'), 'latin1');
        const reader = new LineReader(50);
        expect(readAll(reader, cut(bytes, places))).toEqual(
          lines.map((line) => Buffer.from(line, 'latin1').toString('latin1')),
        );
        expect(reader.rest()).toEqual(Buffer.from(tail, 'latin1'));
      }),
    );
  });

  test('beyond the limit are an error as soon as they are, and never memory', () => {
    fc.assert(
      fc.property(fc.integer({min: 0, max: 300}), fc.array(fc.nat()), (length, places) => {
        const reader = new LineReader(100);
        const read = () => readAll(reader, cut(Buffer.alloc(length, 97), places));
        if (length > 100) expect(read).toThrow(MalformedMessage);
        else expect(read()).toEqual([]);
        expect(reader.bytes).toBeLessThanOrEqual(Math.max(length, 100));
      }),
    );
  });

  test('one byte at a time costs the bytes and no more', () => {
    const limit = 64 * 1024;
    const reader = new LineReader(limit);
    const byte = Buffer.from('x');
    for (let i = 0; i < limit; i += 1) {
      reader.push(byte);
      expect(reader.next()).toBeUndefined();
    }
    reader.push(byte);
    expect(() => reader.next()).toThrow(MalformedMessage);
  });
});

const readers = {
  readServiceOpen,
  readExecRequest,
  readExecOrder,
  readExecAnswer,
  readFileRequest,
  readFileAnswer,
  readEntry: (line: Buffer) => readEntry(parseJsonObject(line)),
};

/** Objects that look like messages, and anything else. */
const message = fc.oneof(
  fc.json(),
  fc.string(),
  fc
    .dictionary(
      fc.constantFrom(
        ...['service', 'exec', 'port', 'command', 'env', 'workdir', 'tty', 'timeoutMs', 'signal', 'resize'],
        ...['started', 'error', 'exit', 'op', 'path', 'mode', 'ok', 'name', 'kind', 'bytes', '__proto__'],
      ),
      fc.oneof(
        fc.jsonValue(),
        fc.constantFrom('ex_1', 'read', 'SIGTERM', '/x', 7),
        fc.constant({code: 3}),
        fc.constant({code: 'X', message: 'y'}),
      ),
    )
    .map((object) => JSON.stringify(object)),
);

describe.each(Object.entries(readers))('%s', (_, read) => {
  test('returns a value, or throws what its caller expects', () => {
    fc.assert(
      fc.property(message, (text) => {
        try {
          read(Buffer.from(text));
        } catch (error) {
          expect(error instanceof MalformedMessage || error instanceof TunlError).toBe(true);
        }
      }),
    );
  });
});

describe('wire', () => {
  const request = {
    command: ['sh', '-c', 'echo "ü\n"'],
    env: {A: '1', __proto__x: '2'},
    workdir: '/w',
    tty: {columns: 80, rows: 24, term: 'xterm'},
    timeoutMs: 5,
  };

  test('a request comes back as it was', () => {
    expect(readExecRequest(encodeLine(request).subarray(0, -1))).toEqual(request);
  });

  test.each([
    {command: []},
    {command: ['']},
    {command: ['a\0b']},
    {command: 'ls'},
    {command: ['a'], env: {'A=B': '1'}},
    {command: ['a'], env: {A: 1}},
    {command: ['a'], env: []},
    {command: ['a'], timeoutMs: 0},
    {command: ['a'], tty: {columns: 0, rows: 1, term: 'x'}},
    {command: Array.from({length: 5_000}, () => 'x')},
  ])('%j is no request', (wrong) => {
    expect(() => readExecRequest(encodeLine(wrong))).toThrow(MalformedMessage);
  });

  test.each([
    {exit: {}},
    {exit: {code: 1, signal: 'SIGTERM'}},
    {exit: {code: 256}},
    {exit: {code: -1}},
    {exit: {code: 1.5}},
    {exit: {signal: 'SIGNOTHING'}},
    {exit: {signal: 'toString'}},
    {exit: []},
    {started: 'ex_'},
    {started: '__proto__'},
    {started: 7},
    {error: 'x'},
    {},
  ])('%j is no answer', (wrong) => {
    expect(() => readExecAnswer(encodeLine(wrong))).toThrow(MalformedMessage);
  });

  test('a text of the other side is made safe to print', () => {
    const line = encodeLine({error: {code: 'NO_SUCH', message: '\x1b[2Jhi\r\nyou', system: 'toString'}});
    const answer = readExecAnswer(line);
    expect(answer).toEqual({error: expect.objectContaining({code: 'UNEXPECTED', message: '[2Jhi you'})});
    expect('error' in answer && answer.error.cause).toBeUndefined();
  });
});

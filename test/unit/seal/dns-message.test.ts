// Questions and answers of the resolver in a sealed network.
import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {
  RCODE,
  readQuestion,
  TYPE_A,
  TYPE_AAAA,
  writeAnswer,
  writeError,
} from '../../../src/lib/seal/dns-message.js';

function query(labels: readonly (string | Buffer)[], type = TYPE_A, more = Buffer.alloc(0)): Buffer {
  const name = labels.map((label) =>
    Buffer.concat([Buffer.from([label.length]), Buffer.from(label as string, 'latin1')]),
  );
  const end = Buffer.from([0, 0, type, 0, 1]);
  return Buffer.concat([
    Buffer.from('1234010000010000000000 00'.replace(' ', ''), 'hex'),
    ...name,
    end,
    more,
  ]);
}

const nameOf = (message: Buffer) => {
  const read = readQuestion(message);
  return read !== undefined && 'question' in read ? read.question.name : read;
};

describe('a question', () => {
  test('has its name in lower case, and keeps its bytes', () => {
    const message = query(['WwW', 'Example', 'com'], TYPE_AAAA, Buffer.from('00002904d0000000000000', 'hex'));
    const read = readQuestion(message);
    expect(read).toMatchObject({question: {id: 0x1234, name: 'www.example.com', type: TYPE_AAAA}});
    if (read === undefined || !('question' in read)) throw new Error('no question');
    const answer = writeAnswer(read.question, {
      rcode: RCODE.ok,
      addresses: ['fd74::1', '192.0.2.1'],
      ttl: 30,
    });
    expect(answer.toString('hex')).toBe(
      `1234818000010001${'0000'.repeat(2)}${message.subarray(12, 33).toString('hex')}c00c001c00010000001e0010fd74${'00'.repeat(13)}01`,
    );
  });

  test.each([
    ['a dot in a label', query(['a.example'])],
    ['a zero byte', query(['a\0', 'example'])],
    ['a letter outside of ASCII', query([Buffer.from('bücher', 'latin1').toString('latin1'), 'example'])],
    ['the root', query([])],
    ['a space', query(['a b'])],
  ])('with %s has no name', (_, message) => {
    expect(nameOf(message)).toBeUndefined();
  });

  test('of another class has a type that nobody answers', () => {
    const message = query(['a']);
    message[message.length - 1] = 3;
    expect(readQuestion(message)).toMatchObject({question: {type: 0}});
  });

  test.each<[string, Buffer, object | undefined]>([
    ['an answer', Buffer.from('123481000001000000000000', 'hex'), undefined],
    ['less than a header', Buffer.from('1234', 'hex'), undefined],
    ['much more than a question', Buffer.alloc(5_000), undefined],
    ['an update', Buffer.from('123428000001000000000000', 'hex'), {rcode: RCODE.notImplemented}],
    ['two questions', Buffer.from('123401000002000000000000', 'hex'), {rcode: RCODE.malformed}],
    ['no question', Buffer.from('123401000000000000000000', 'hex'), {rcode: RCODE.malformed}],
    ['a pointer', Buffer.from('123401000001000000000000c00c00010001', 'hex'), {rcode: RCODE.malformed}],
    ['a name of 256 bytes', query(Array.from({length: 4}, () => 'a'.repeat(63))), {rcode: RCODE.malformed}],
    ['a cut name', query(['example']).subarray(0, 16), {rcode: RCODE.malformed}],
    ['a cut type', query(['example']).subarray(0, 22), {rcode: RCODE.malformed}],
  ])('%s is none', (_, message, error) => {
    const read = readQuestion(message);
    if (error === undefined) expect(read).toBeUndefined();
    else expect(read).toMatchObject(error);
    if (read !== undefined && 'rcode' in read) expect(writeError(read)).toHaveLength(12);
  });

  test('of any bytes is read and answered without an error, in at most 512 bytes', () => {
    const near = fc
      .tuple(fc.array(fc.string({maxLength: 63}), {maxLength: 6}), fc.uint8Array({maxLength: 40}))
      .map(([labels, more]) => query(labels, TYPE_A, Buffer.from(more)));
    const far = fc.uint8Array({maxLength: 600}).map((bytes) => Buffer.from(bytes));
    const addresses = Array.from({length: 40}, (_, at) => `192.0.2.${at}`);
    fc.assert(
      fc.property(fc.oneof(near, far), (message) => {
        const read = readQuestion(message);
        if (read === undefined) return;
        const answer =
          'question' in read ? writeAnswer(read.question, {rcode: RCODE.ok, addresses}) : writeError(read);
        expect(answer.length).toBeLessThanOrEqual(512);
        expect(answer.readUInt16BE(0)).toBe(message.readUInt16BE(0));
      }),
      {numRuns: 500},
    );
  });
});

// The lines with which a connection to a private TCP tunnel begins.

import {expect, test} from 'vitest';
import {openingLine, readOpening, readReply, replyLine} from '../../../src/lib/protocol/stream-link.js';

const token = 'k3f9a2xc6xc2xv7j3htyq8v2yyjvpttn';

test('the opening line is read whole, in any pieces, and what follows is not part of it', () => {
  const bytes = Buffer.from(`${openingLine(token)}SSH-2.0-x\r\n`);
  const length = openingLine(token).length;
  for (let end = 0; end <= bytes.length; end += 1)
    expect([end, readOpening(bytes.subarray(0, end))]).toEqual([
      end,
      end < length ? undefined : {token, length},
    ]);
});

test.each([
  ['SSH-2.0-OpenSSH', 'LINK_NEEDED'],
  ['\x16\x03\x01', 'LINK_NEEDED'],
  ['TUNL/2 x\n', 'LINK_NEEDED'],
  ['tunl/1 x\n', 'LINK_NEEDED'],
  ['\n', 'LINK_NEEDED'],
  ['GET /?tunl=x HTTP/1.1\r\n', 'NOT_HTTP'],
  [`TUNL/1 ${'x'.repeat(129)}`, 'LINK_INVALID'],
  [`TUNL/1 ${'x'.repeat(200)}\n`, 'LINK_INVALID'],
])('%j is answered %s', (text, reply) => {
  expect(readOpening(Buffer.from(text))).toMatchObject({reply});
});

test('an empty token, and one with strange characters, are tokens to be judged', () => {
  expect(readOpening(Buffer.from('TUNL/1 \n'))).toEqual({token: '', length: 8});
  expect(readOpening(Buffer.from('TUNL/1 __proto__\r\n'))).toMatchObject({token: '__proto__\r'});
});

test.each(['OK', 'LINK_NEEDED', 'LINK_INVALID', 'LATER'] as const)(
  'the reply %s is read in any pieces',
  (reply) => {
    const bytes = Buffer.concat([replyLine(reply), Buffer.from('rest')]);
    const {length} = replyLine(reply);
    for (let end = 0; end <= bytes.length; end += 1)
      expect([end, readReply(bytes.subarray(0, end))]).toEqual([
        end,
        end < length ? undefined : {reply, length},
      ]);
  },
);

test.each([
  'HTTP/1.1 400 Bad Request\r\n',
  'SSH-2.0-x',
  'TUNL/1 WHAT\n',
  'x'.repeat(64),
  `TUNL/1 ${'x'.repeat(64)}`,
])('%j is no reply', (text) => {
  expect(readReply(Buffer.from(text))).toMatchObject({reply: undefined});
});

// SOCKS 5 as bytes: any split gives the same message, and nothing makes the parsers throw or wait without end.

import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {
  chooseMethod,
  type Read,
  readGreeting,
  readLogin,
  readRequest,
  SOCKS_METHOD,
  SOCKS_REPLY,
} from '../../../src/lib/egress/proxy/socks.js';
import {addressText} from '../../../src/lib/net/address-bytes.js';

const port = fc.integer({min: 0, max: 65_535});
const bytes = (length: number) =>
  fc.uint8Array({minLength: length, maxLength: length}).map((all) => Buffer.from(all));
const portBytes = (value: number) => Buffer.from([value >> 8, value & 255]);

/** The result is there with the last byte, and not before; later bytes do not change it. */
function expectWhole<T>(read: (bytes: Buffer) => Read<T>, message: Buffer, value: T): void {
  for (let length = 0; length < message.length; length += 1)
    expect(read(message.subarray(0, length))).toBeUndefined();
  expect(read(message)).toEqual({value, length: message.length});
  expect(read(Buffer.concat([message, Buffer.from('more')]))).toEqual({value, length: message.length});
}

describe('messages', () => {
  test('greetings', () => {
    fc.assert(
      fc.property(fc.uint8Array({minLength: 1, maxLength: 255}), (methods) =>
        expectWhole(readGreeting, Buffer.from([5, methods.length, ...methods]), [...methods]),
      ),
    );
  });

  test('logins', () => {
    const text = fc.integer({min: 0, max: 255}).chain(bytes);
    fc.assert(
      fc.property(text, text, (user, password) => {
        const message = Buffer.concat([
          Buffer.from([1, user.length]),
          user,
          Buffer.from([password.length]),
          password,
        ]);
        expectWhole(readLogin, message, {user, password});
      }),
      {numRuns: 20},
    );
  });

  test.each([
    [1, 4],
    [4, 16],
  ])('requests for addresses of kind %i', (kind, length) => {
    fc.assert(
      fc.property(bytes(length), port, (address, at) => {
        const message = Buffer.concat([Buffer.from([5, 1, 0, kind]), address, portBytes(at)]);
        expectWhole(readRequest, message, {host: addressText(address), port: at});
      }),
    );
  });

  test('requests for names', () => {
    fc.assert(
      fc.property(fc.integer({min: 0, max: 255}).chain(bytes), port, (name, at) => {
        const message = Buffer.concat([Buffer.from([5, 1, 0, 3, name.length]), name, portBytes(at)]);
        expectWhole(readRequest, message, {host: name.toString('latin1'), port: at});
      }),
      {numRuns: 20},
    );
  });
});

test('any bytes at all have a result within the limit of a message', () => {
  fc.assert(
    fc.property(fc.uint8Array({minLength: 513, maxLength: 600}), (all) => {
      for (const read of [readGreeting, readLogin, readRequest]) expect(read(Buffer.from(all))).toBeDefined();
    }),
  );
});

test.each([
  ['BIND', 2],
  ['UDP ASSOCIATE', 3],
  ['an unknown one', 9],
])('the command %s gets a reply, whatever follows', (_name, command) => {
  expect(readRequest(Buffer.from([5, command, 0, 1]))).toMatchObject({value: SOCKS_REPLY.commandUnknown});
});

test('an unknown kind of address gets a reply', () => {
  expect(readRequest(Buffer.from([5, 1, 0, 2]))).toMatchObject({value: SOCKS_REPLY.addressUnknown});
});

test.each([
  [[0], true, SOCKS_METHOD.noneFits],
  [[0, 2], true, SOCKS_METHOD.password],
  [[1], false, SOCKS_METHOD.noneFits],
  [[0, 2], false, SOCKS_METHOD.none],
  // A program that has a user name in its settings may offer nothing else.
  [[2], false, SOCKS_METHOD.password],
])('of the methods %j, with a password %s, %i is chosen', (offered, needsPassword, method) => {
  expect(chooseMethod(offered, needsPassword)).toBe(method);
});

import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {encodeMessage} from '../../../src/lib/protocol/control-messages.js';
import {MalformedMessage} from '../../../src/lib/protocol/fields.js';
import {type LinkMessage, parseLinkMessage} from '../../../src/lib/protocol/link-messages.js';
import {LIMITS} from '../../../src/lib/protocol/wire.js';
import {mangled, optionally, plainText} from './arbitraries.js';

const parse = (value: unknown) => parseLinkMessage(Buffer.from(JSON.stringify(value)));

const hex = (digits: number) =>
  fc.string({unit: fc.constantFrom(...'0123456789abcdef'), minLength: digits, maxLength: digits});
const count = fc.maxSafeNat();
const epoch = fc.integer({min: 1, max: Number.MAX_SAFE_INTEGER});
const waitMs = fc.integer({min: 0, max: 86_400_000});

const features = fc.array(plainText(40), {maxLength: 32});

const messages: fc.Arbitrary<LinkMessage> = fc.oneof(
  fc
    .tuple(
      fc.record({protocol: fc.integer({min: 1, max: 1_000_000}), software: plainText(100), nonce: hex(32)}),
      optionally('identify', plainText(255)),
      optionally('features', features),
    )
    .map(([challenge, identify, more]) => ({type: 'challenge' as const, ...challenge, ...identify, ...more})),
  fc
    .tuple(
      plainText(100),
      hex(32),
      optionally('identity', fc.record({key: plainText(200), signature: plainText(200)})),
      optionally('features', features),
      optionally('resume', fc.record({id: hex(32), epoch, received: count, proof: hex(64)})),
    )
    .map(([software, nonce, identity, more, resume]) => ({
      type: 'hello' as const,
      software,
      nonce,
      ...identity,
      ...more,
      ...resume,
    })),
  fc
    .tuple(
      fc.record({id: hex(32), epoch, received: count, resumeWindowMs: fc.integer({min: 0, max: 3_600_000})}),
      optionally('secret', hex(64)),
      optionally('proof', hex(64)),
    )
    .map(([welcome, secret, proof]) => ({type: 'welcome' as const, ...welcome, ...secret, ...proof})),
  fc
    .tuple(plainText(40), plainText(500), optionally('retryAfterMs', waitMs))
    .map(([code, message, retry]) => ({type: 'refused' as const, code, message, ...retry})),
  fc.record({
    type: fc.constant('goaway' as const),
    message: plainText(500),
    afterMs: waitMs,
    relays: fc.array(plainText(300), {maxLength: 20}),
  }),
  fc.record({type: fc.constant('close' as const), code: plainText(40), message: plainText(500)}),
);

describe('a link message', () => {
  test('is unchanged after encoding and parsing, and fits into a record', () => {
    fc.assert(
      fc.property(messages, (message) => {
        const bytes = encodeMessage(message);
        expect(parseLinkMessage(bytes)).toEqual(message);
        // The longest message with characters of three bytes in UTF-8.
        if (message.type !== 'goaway') expect(bytes.length).toBeLessThan(LIMITS.messageBytes);
      }),
    );
  });

  test('loses unknown fields', () => {
    expect(parse({type: 'close', code: 'CLOSED', message: 'bye', extra: 1, __proto__: {}})).toEqual({
      type: 'close',
      code: 'CLOSED',
      message: 'bye',
    });
  });

  test('is either parsed or refused as malformed, for any JSON', () => {
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), mangled(messages)), (value) => {
        try {
          const message = parse(value);
          expect(parse(message)).toEqual(message);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedMessage);
        }
      }),
      {numRuns: 1_000},
    );
  });

  const nonce = 'a'.repeat(32);
  const welcome = {type: 'welcome', id: nonce, epoch: 1, received: 0, resumeWindowMs: 1};
  const resume = {id: nonce, epoch: 2, received: 0, proof: 'b'.repeat(64)};
  const challenge = {type: 'challenge', protocol: 1, software: 'x', nonce};
  const hello = {type: 'hello', software: 'x', nonce};

  test.each([
    ['no type', {}],
    ['a type of the control messages', {type: 'bind'}],
    ['a type that is a property of every object', {type: 'constructor'}],
    ['a nonce in upper case', {...hello, nonce: 'A'.repeat(32)}],
    ['a nonce that is too short', {...hello, nonce: 'a'.repeat(31)}],
    ['a nonce that is too long', {...hello, nonce: 'a'.repeat(33)}],
    ['a nonce with a line end', {...hello, nonce: `${'a'.repeat(31)}\n`}],
    ['an epoch of 0', {...hello, resume: {...resume, epoch: 0}}],
    ['a count that is negative', {...hello, resume: {...resume, received: -1}}],
    ['a count that cannot be exact', {...hello, resume: {...resume, received: 2 ** 53}}],
    ['a count as text', {...hello, resume: {...resume, received: '0'}}],
    ['a resume without a proof', {...hello, resume: {...resume, proof: undefined}}],
    ['a resume that is null', {...hello, resume: null}],
    ['a relay name that is too long', {...challenge, identify: 'x'.repeat(256)}],
    ['an identity without a signature', {...hello, identity: {key: 'x'}}],
    ['a resume window over an hour', {...welcome, resumeWindowMs: 3_600_001}],
    ['a secret of half the length', {...welcome, secret: 'c'.repeat(32)}],
    ['a wait over a day', {type: 'refused', code: 'X', message: '', retryAfterMs: 86_400_001}],
    ['21 relays', {type: 'goaway', message: '', afterMs: 0, relays: Array(21).fill('x')}],
    ['a message that is too long', {type: 'close', code: 'X', message: 'x'.repeat(501)}],
  ])('is refused with %s', (_what, value) => {
    expect(() => parse(value)).toThrow(MalformedMessage);
  });
});

import {randomBytes} from 'node:crypto';
import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {base32, checkLabel, labelUnder, randomLabel} from '../../../src/lib/protocol/names.js';

describe('checkLabel', () => {
  test.each([
    'a',
    '0',
    'demo',
    'a-b',
    'a--b',
    '3000',
    'x'.repeat(63),
    'constructor',
    'prototype',
    'tostring',
    'hasownproperty',
  ])('%s is valid', (label) => {
    expect(checkLabel(label)).toEqual({ok: true, label});
  });

  test.each([
    '',
    'x'.repeat(64),
    'x'.repeat(1_000_000),
    'a.b',
    '.',
    'Demo',
    'hasOwnProperty',
    'a_b',
    '_dmarc',
    '__proto__',
    '-a',
    'a-',
    '-',
    'a b',
    ' a',
    'a\n',
    'a\0b',
    'bücher',
    'xn--bcher-kva',
    'ab--c',
    '*',
    '٣',
    'ａ',
    'K', // the Kelvin sign, whose lower case is k
  ])('%j is invalid', (label) => {
    const check = checkLabel(label);
    expect(check).toMatchObject({ok: false, code: 'NAME_INVALID'});
    expect(check.ok ? '' : check.reason).toSatisfy((reason: string) => reason.length < 150);
  });

  test.each([
    'www',
    'api',
    'admin',
    'relay',
    'tunl',
    'localhost',
    'wpad',
    'isatap',
    'autodiscover',
    'ns1',
    'mta-sts',
    'ca',
  ])('%s is reserved', (label) => {
    expect(checkLabel(label)).toMatchObject({ok: false, code: 'NAME_RESERVED'});
  });

  test('a valid label is a host label that the URL parser leaves unchanged', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.stringMatching(/^[a-z0-9-]{1,63}$/), fc.string({unit: 'binary'}), fc.string()),
        (text) => {
          const check = checkLabel(text);
          if (check.ok)
            expect(new URL(`https://${check.label}.relay.example/`).hostname).toBe(`${text}.relay.example`);
        },
      ),
    );
  });
});

describe('randomLabel', () => {
  test('is RFC 4648 base32 of the 16 bytes', () => {
    expect(randomLabel(() => Buffer.alloc(16))).toBe('a'.repeat(26));
    expect(randomLabel(() => Buffer.alloc(16, 0xff))).toBe(`${'7'.repeat(25)}4`);
    // RFC 4648 §10: "foobar" is MZXW6YTBOI
    expect(randomLabel(() => Buffer.from('foobarfoobarfoob'))).toMatch(/^mzxw6ytbo/);
  });

  test('loses no bit and is always a valid label', () => {
    fc.assert(
      fc.property(fc.uint8Array({minLength: 16, maxLength: 16}), (bytes) => {
        const label = randomLabel(() => bytes);
        expect(label).toMatch(/^[a-z2-7]{26}$/);
        expect(checkLabel(label).ok).toBe(true);
        let value = 0n;
        for (const char of label)
          value = (value << 5n) | BigInt('abcdefghijklmnopqrstuvwxyz234567'.indexOf(char));
        expect((value >> 2n).toString(16).padStart(32, '0')).toBe(Buffer.from(bytes).toString('hex'));
        expect(value & 3n).toBe(0n);
      }),
    );
  });

  test('whole characters need no rest', () => {
    expect(base32(Buffer.from('foobarfoob'))).toBe('mzxw6ytbojtg633c');
    expect(base32(Buffer.alloc(0))).toBe('');
  });

  test('does not repeat', () => {
    expect(new Set(Array.from({length: 1000}, () => randomLabel(randomBytes))).size).toBe(1000);
  });
});

describe('labelUnder', () => {
  test.each([
    ['demo.r1.example.net', 'demo'],
    ['DEMO.R1.Example.NET', 'demo'],
    ['demo.r1.example.net.', 'demo'],
    ['constructor.r1.example.net', 'constructor'],
    ['__proto__.r1.example.net', '__proto__'],
  ])('%s', (host, label) => {
    expect(labelUnder(host, 'r1.example.net')).toBe(label);
    expect(labelUnder(host, 'R1.example.net.')).toBe(label);
  });

  test.each([
    '',
    '.',
    'r1.example.net',
    '.r1.example.net',
    'a.b.r1.example.net',
    '.a.r1.example.net',
    'demor1.example.net',
    'demo.r1.example.net.evil.example',
    'demo.r1.example.net..',
    'demo.r1.example',
    'other.example.net',
  ])('%j is not one', (host) => {
    expect(labelUnder(host, 'r1.example.net')).toBeUndefined();
  });

  test('a foreign letter is never folded into an ASCII one', () => {
    expect(labelUnder('demo.relay.kiosk', 'relay.kiosk')).toBe('demo');
    expect(labelUnder('demo.relay.\u212aiosk', 'relay.kiosk')).toBeUndefined();
  });
});

// How people write the destinations of a sealed network.
import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {checkEgress, egressText, parseEgress} from '../../../src/lib/seal/rules.js';

const one = (text: string) => egressText(parseEgress(text));

describe('a list of destinations', () => {
  test.each([
    ['none', 'none'],
    ['internet', 'internet'],
    ['db.example.com:5432', 'db.example.com:5432'],
    ['DB.Example.COM.:5432', 'db.example.com:5432'],
    ['*.Example.com:443', '*.example.com:443'],
    ['bücher.example:443', 'xn--bcher-kva.example:443'],
    ['a_b.example.com:443', 'a_b.example.com:443'],
    ['192.0.2.7:22', '192.0.2.7:22'],
    ['[2001:DB8:0:0::1]:443', '[2001:db8::1]:443'],
    ['[::ffff:192.0.2.7]:22', '192.0.2.7:22'],
    ['a.example:1,b.example:2 c.example:3\n', 'a.example:1,b.example:2,c.example:3'],
    ['a.example:1,A.example:1,a.example.:1', 'a.example:1'],
    ['localhost:65535', 'localhost:65535'],
  ])('%j is %s', (text, meaning) => {
    expect(one(text)).toBe(meaning);
  });

  test.each([
    '',
    ' , ',
    'example.com',
    'example.com:',
    'example.com:0',
    'example.com:65536',
    'example.com:443x',
    'example.com:+443',
    'example.com: 443x',
    ':443',
    '*:443',
    '*.:443',
    'a.*.example.com:443',
    '*a.example.com:443',
    '**.example.com:443',
    'https://example.com:443',
    'example.com/path:443',
    'user@example.com:443',
    'ex%61mple.com:443',
    '-a.example.com:443',
    'a..example.com:443',
    '.example.com:443',
    'example.com..:443',
    `${'a'.repeat(64)}.example.com:443`,
    `${'a.'.repeat(130)}com:443`,
    '2001:db8::1:443',
    '[2001:db8::1]',
    '[2001:db8::1%eth0]:443',
    '[192.0.2.7]:443',
    '[example.com]:443',
    '127.1:80',
    '2130706433:80',
    '0x7f000001:80',
    '0x7f.1:80',
    '0177.0.0.1:80',
    '192.0.2.256:80',
    '*.192.0.2.7:80',
    'example.com:53',
    'none,example.com:443',
    'internet,example.com:443',
  ])('%j is none', (text) => {
    expect(() => parseEgress(text)).toThrow(expect.objectContaining({code: 'EGRESS_INVALID'}));
  });

  test('has a bound', () => {
    const many = (count: number) => Array.from({length: count}, (_, at) => `h${at}.example:1`).join(',');
    expect(parseEgress(many(256))).toMatchObject({kind: 'list'});
    expect(() => parseEgress(many(257))).toThrow(expect.objectContaining({code: 'EGRESS_INVALID'}));
  });

  test('from a program is checked as well', () => {
    const rules = {kind: 'list', allow: [{host: 'A.example.', port: 1}]} as const;
    expect(egressText(checkEgress(rules))).toBe('a.example:1');
    expect(() => checkEgress({kind: 'list', allow: [{host: '127.1', port: 1}]})).toThrow();
    expect(() => checkEgress({kind: 'list', allow: [{host: 'a.example', port: 1.5}]})).toThrow();
  });

  test('any text has a meaning that is stable, or is refused', () => {
    const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6(), fc.string(), fc.ipV4Extended());
    fc.assert(
      fc.property(host, fc.oneof(fc.nat(70_000), fc.string()), (name, port) => {
        let rules: ReturnType<typeof parseEgress>;
        try {
          rules = parseEgress(`${name}:${port}`);
        } catch (error) {
          expect(error).toMatchObject({code: 'EGRESS_INVALID'});
          return;
        }
        expect(parseEgress(egressText(rules))).toEqual(rules);
      }),
    );
  });
});

import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {
  asObject,
  type Fields,
  flag,
  MalformedMessage,
  maybe,
  oneOf,
  parseJsonObject,
  prose,
  text,
  texts,
  whole,
} from '../../../src/lib/protocol/fields.js';

const parse = (json: string) => parseJsonObject(Buffer.from(json));
const inherited: Fields = Object.create({name: 'x', count: 1, yes: true, list: ['x']});

describe('a message', () => {
  test('is a JSON object and nothing else', () => {
    expect(parse('{"a":1}')).toEqual({a: 1});
    for (const json of ['', '{', 'nul', '[]', 'null', '1', '"x"', '[{}]', '{"a":1}x', '\u0000'])
      expect(() => parse(json)).toThrow(MalformedMessage);
  });

  test('may be nested as deeply as fits: it is parsed or refused', () => {
    const deep = `${'['.repeat(32_000)}${']'.repeat(32_000)}`;
    expect(() => parse(deep)).toThrow(MalformedMessage);
    expect(() => parse(`{"a":${'['.repeat(32_000)}`)).toThrow(MalformedMessage);
  });

  test('throws only MalformedMessage, for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({maxLength: 200}), (bytes) => {
        try {
          parseJsonObject(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedMessage);
        }
      }),
    );
  });

  test('has only its own fields', () => {
    const fields = parse('{"__proto__":{"name":"x"}}');
    expect(() => text(fields, 'name', 10)).toThrow(MalformedMessage);
    expect(() => text(inherited, 'name', 10)).toThrow(MalformedMessage);
    expect(() => whole(inherited, 'count', 0, 9)).toThrow(MalformedMessage);
    expect(() => oneOf(inherited, 'name', ['x'])).toThrow(MalformedMessage);
    expect(flag(inherited, 'yes')).toBe(false);
    expect(texts(inherited, 'list', 9, 9)).toEqual([]);
    expect(maybe(inherited, 'name', () => 1)).toEqual({});
    for (const name of ['constructor', 'toString', '__proto__']) {
      expect(Object.keys(maybe({}, name, () => 1))).toEqual([]);
      expect(() => text({}, name, 100)).toThrow(MalformedMessage);
    }
  });
});

describe('a field', () => {
  test('object: not null, not a list', () => {
    expect(asObject({}, 'x')).toEqual({});
    for (const value of [null, [], 'x', 1, true, undefined])
      expect(() => asObject(value, 'x')).toThrow(MalformedMessage);
  });

  test('text: limited in length', () => {
    expect(text({a: 'xyz'}, 'a', 3)).toBe('xyz');
    expect(text({a: ''}, 'a', 0)).toBe('');
    for (const a of ['wxyz', 1, null, undefined, ['x'], {}])
      expect(() => text({a}, 'a', 3)).toThrow(MalformedMessage);
  });

  test('prose: no character that moves a cursor or changes the reading direction', () => {
    expect(prose({a: ' a\u001b[31mb\r\nc\u0000d\u202ee\u2028f\u009bg '}, 'a', 50)).toBe('a [31mb c d e f g');
    expect(prose({a: 'Grüße, 你好 🙂'}, 'a', 50)).toBe('Grüße, 你好 🙂');
    fc.assert(
      fc.property(fc.array(fc.nat({max: 0xffff}), {maxLength: 50}), (codes) => {
        const a = String.fromCharCode(...codes);
        expect(prose({a}, 'a', 200)).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      }),
    );
    expect(() => prose({a: 'wxyz'}, 'a', 3)).toThrow(MalformedMessage);
  });

  test('whole number: within its bounds, exact', () => {
    for (const a of [0, 1, 7]) expect(whole({a}, 'a', 0, 7)).toBe(a);
    expect(whole(parse('{"a":7e0}'), 'a', 0, 7)).toBe(7);
    for (const a of [-1, 8, 0.5, '1', null, undefined, Number.NaN, Infinity, [1]])
      expect(() => whole({a}, 'a', 0, 7)).toThrow(MalformedMessage);
    const max = Number.MAX_SAFE_INTEGER;
    expect(whole(parse(`{"a":${max}}`), 'a', 0, max)).toBe(max);
    for (const json of ['{"a":9007199254740992}', '{"a":9007199254740993}', '{"a":1e400}'])
      expect(() => whole(parse(json), 'a', 0, max)).toThrow(MalformedMessage);
  });

  test('flag: false where it is missing', () => {
    expect([flag({a: true}, 'a'), flag({a: false}, 'a'), flag({}, 'a')]).toEqual([true, false, false]);
    for (const a of [0, 1, 'true', null, []]) expect(() => flag({a}, 'a')).toThrow(MalformedMessage);
  });

  test('list of texts: limited in number and length; empty where it is missing', () => {
    expect(texts({a: ['x', 'yy']}, 'a', 2, 2)).toEqual(['x', 'yy']);
    expect(texts({}, 'a', 2, 2)).toEqual([]);
    for (const a of [['x', 'y', 'z'], ['xyz'], [1], [null], 'x', {0: 'x', length: 1}, null])
      expect(() => texts({a}, 'a', 2, 2)).toThrow(MalformedMessage);
  });

  test('one of a list', () => {
    expect(oneOf({a: 'x'}, 'a', ['x', 'y'])).toBe('x');
    for (const a of ['z', '', 0, null, undefined, ['x']])
      expect(() => oneOf({a}, 'a', ['x', 'y'])).toThrow(MalformedMessage);
  });

  test('that is optional: null is a value', () => {
    expect(maybe({a: 'x'}, 'a', text, 1)).toEqual({a: 'x'});
    expect(Object.keys(maybe({}, 'a', text, 1))).toEqual([]);
    expect(() => maybe({a: 'xx'}, 'a', text, 1)).toThrow(MalformedMessage);
    expect(() => maybe({a: null}, 'a', text, 1)).toThrow(MalformedMessage);
  });
});

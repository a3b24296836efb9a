import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {TunlError} from '../../../src/lib/core/errors.js';
import {
  checkPort,
  formatHostPort,
  isIPv4,
  isIPv6,
  isLoopbackHost,
  listenAddress,
  parseTarget,
  portRange,
  publicUrl,
} from '../../../src/lib/protocol/targets.js';

function codeOf(act: () => unknown): string {
  try {
    return `value ${JSON.stringify(act())}`;
  } catch (error) {
    if (error instanceof TunlError) return error.code;
    throw error;
  }
}

describe('parseTarget', () => {
  test.each([
    ['8000', 'localhost', 8000],
    [' 8000 ', 'localhost', 8000],
    [':8000', 'localhost', 8000],
    ['localhost:8000', 'localhost', 8000],
    ['192.168.1.9:3000', '192.168.1.9', 3000],
    ['[::1]:8000', '::1', 8000],
    ['[fe80::1%eth0]:22', 'fe80::1%eth0', 22],
    ['my_service.internal:1', 'my_service.internal', 1],
    ['HOST.example.:65535', 'HOST.example.', 65_535],
  ])('%s', (text, host, port) => {
    expect(parseTarget(text)).toEqual({host, port});
  });

  test('accepts another default host', () => {
    expect(parseTarget('8000', '10.0.0.1')).toEqual({host: '10.0.0.1', port: 8000});
  });

  test.each([
    ['abc', 'PORT_INVALID'],
    ['80.5', 'PORT_INVALID'],
    ['0x50', 'PORT_INVALID'],
    ['1e3', 'PORT_INVALID'],
    ['localhost', 'PORT_INVALID'],
    ['localhost:', 'PORT_INVALID'],
    ['localhost:http', 'PORT_INVALID'],
    [':', 'PORT_INVALID'],
    ['[::1]:', 'PORT_INVALID'],
    ['9999999999999999999999', 'PORT_INVALID'],
    ['0', 'PORT_RANGE'],
    ['-1', 'PORT_RANGE'],
    ['65536', 'PORT_RANGE'],
    ['localhost:65536', 'PORT_RANGE'],
    ['', 'TARGET_INVALID'],
    ['  ', 'TARGET_INVALID'],
    ['::1', 'TARGET_INVALID'],
    ['::1:8000', 'TARGET_INVALID'],
    ['[::1]', 'TARGET_INVALID'],
    ['[::1]8000', 'TARGET_INVALID'],
    ['[nonsense]:8000', 'TARGET_INVALID'],
    ['[::1%]:8000', 'TARGET_INVALID'],
    ['http://localhost:8000', 'TARGET_INVALID'],
    ['a b:8000', 'TARGET_INVALID'],
    ['a/b:8000', 'TARGET_INVALID'],
    ['user@host:8000', 'TARGET_INVALID'],
    ['-host:8000', 'TARGET_INVALID'],
    ['host..name:8000', 'TARGET_INVALID'],
    ['1.2.3:8000', 'TARGET_INVALID'],
    ['999.1.1.1:8000', 'TARGET_INVALID'],
    ['bücher.example:8000', 'TARGET_INVALID'],
    [`${'a'.repeat(64)}:8000`, 'TARGET_INVALID'],
    [`${'a.'.repeat(130)}a:8000`, 'TARGET_INVALID'],
  ])('%j is %s', (text, code) => {
    expect(codeOf(() => parseTarget(text))).toBe(code);
  });

  test('its result can be written and read again', () => {
    const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6());
    fc.assert(
      fc.property(host, fc.integer({min: 1, max: 65_535}), (name, port) => {
        expect(parseTarget(formatHostPort(name, port))).toEqual({host: name, port});
      }),
    );
  });

  test('any text gives a value or an error with a code, and the error is short', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({unit: 'binary', maxLength: 300}), fc.string({maxLength: 40})),
        (text) => {
          try {
            parseTarget(text);
          } catch (error) {
            expect(error).toBeInstanceOf(TunlError);
            expect((error as TunlError).message.length).toBeLessThan(200);
          }
        },
      ),
    );
  });
});

test.each([
  [8000, 'value 8000'],
  ['8000', 'PORT_INVALID'],
  [80.5, 'PORT_INVALID'],
  [Number.NaN, 'PORT_INVALID'],
  [Number.POSITIVE_INFINITY, 'PORT_INVALID'],
  [undefined, 'PORT_INVALID'],
  [{}, 'PORT_INVALID'],
  [0, 'PORT_RANGE'],
  [-1, 'PORT_RANGE'],
  [65_536, 'PORT_RANGE'],
])('checkPort %j', (value, result) => {
  expect(codeOf(() => checkPort(value))).toBe(result);
});

test.each([
  ['0.0.0.0:443', 'value {"host":"0.0.0.0","port":443}'],
  ['127.0.0.1:0', 'value {"host":"127.0.0.1","port":0}'],
  ['[::]:443', 'value {"host":"::","port":443}'],
  ['localhost:8443', 'value {"host":"localhost","port":8443}'],
  ['443', 'OPTION_INVALID'],
  [':443', 'OPTION_INVALID'],
  ['::', 'OPTION_INVALID'],
  ['', 'OPTION_INVALID'],
  ['0.0.0.0:https', 'PORT_INVALID'],
  ['0.0.0.0:65536', 'PORT_RANGE'],
])('listenAddress %j', (text, result) => {
  expect(codeOf(() => listenAddress(text))).toBe(result);
});

test.each([
  ['20000-20999', 'value [20000,20999]'],
  [' 20000 - 20999 ', 'value [20000,20999]'],
  ['20000', 'value [20000,20000]'],
  ['0', 'value [0,0]'],
  ['0-0', 'value [0,0]'],
  ['0-9', 'OPTION_INVALID'],
  ['20999-20000', 'OPTION_INVALID'],
  ['1-2-3', 'OPTION_INVALID'],
  ['-5', 'OPTION_INVALID'],
  ['', 'OPTION_INVALID'],
  ['a-b', 'PORT_INVALID'],
  ['1-65536', 'PORT_RANGE'],
])('portRange %j', (text, result) => {
  expect(codeOf(() => portRange(text))).toBe(result);
});

describe('isLoopbackHost', () => {
  test.each([
    'localhost',
    'LocalHost',
    'localhost.',
    'tunl.localhost',
    'a.b.tunl.LOCALHOST',
    'a.localhost.',
    '127.0.0.1',
    '127.255.255.254',
    '::1',
    '[::1]',
    '0:0:0:0:0:0:0:1',
    '::ffff:127.0.0.1',
    '::FFFF:7f12:3456',
    '0:0:0:0:0:ffff:127.0.0.1',
  ])('%s is', (host) => {
    expect(isLoopbackHost(host)).toBe(true);
  });

  test.each([
    '',
    '0.0.0.0',
    '::',
    'localhost.example.net',
    'notlocalhost',
    '.localhost',
    'a..localhost',
    'localhost..',
    '127.0.0.1.example.net',
    '127.0.0.256',
    '127.00.0.1',
    '127.1',
    '0127.0.0.1',
    '10.0.0.1',
    '::ffff:128.0.0.1',
    '::ffff:7f:1',
    '::ffff:10.0.0.1',
    '64:ff9b::7f00:1',
    '::127.0.0.1',
    'fe80::1',
    '::1::1',
    'constructor',
  ])('%j is not', (host) => {
    expect(isLoopbackHost(host)).toBe(false);
  });
});

test('an address is recognised only in its unambiguous spelling', () => {
  expect(['1.2.3.4', '01.2.3.4', '1.2.3', '1.2.3.256', '1.2.3.4.'].map(isIPv4)).toEqual([
    true,
    false,
    false,
    false,
    false,
  ]);
  expect(['::', 'fe80::1%eth0', '1::2::3', '1.2.3.4', ':::', 'g::'].map(isIPv6)).toEqual([
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
});

test('addresses are written with brackets and without the default port', () => {
  expect(formatHostPort('::1', 22)).toBe('[::1]:22');
  expect(formatHostPort('a.example', 22)).toBe('a.example:22');
  expect(publicUrl('a.example', 443)).toBe('https://a.example');
  expect(publicUrl('a.example', 8443)).toBe('https://a.example:8443');
  expect(publicUrl('::1', 443)).toBe('https://[::1]');
});

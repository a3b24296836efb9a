// The kept output of a program: the end, bounded, printable, without secrets.
import {expect, test} from 'vitest';
import {OutputTail, passOn, redact} from '../../../src/lib/launch/output.js';

const push = (tail: OutputTail, text: string, stream: 'stdout' | 'stderr' = 'stdout') =>
  tail.push(stream, Buffer.from(text));

test('the last lines of both outputs, with the unfinished ones', () => {
  const tail = new OutputTail();
  push(tail, 'one\ntw');
  push(tail, 'error\n', 'stderr');
  push(tail, 'o\r\n\n  three');
  expect(tail.lines()).toEqual(['one', 'error', 'two', '  three']);
  expect(tail.lines(2)).toEqual(['two', '  three']);
});

test('a character that is cut in two is put together', () => {
  const tail = new OutputTail();
  const bytes = Buffer.from('grüße\n');
  for (const byte of bytes) tail.push('stdout', Buffer.of(byte));
  expect(tail.lines()).toEqual(['grüße']);
});

test('colours, cursor movements and other controls are removed', () => {
  const tail = new OutputTail();
  push(tail, '\u001b[31mred\u001b[0m \u001b]0;title\u0007x\u0000\u009by\u001b[2J\n');
  const codes = [...(tail.lines()[0] ?? '')].map((char) => char.charCodeAt(0));
  expect(codes.filter((code) => code < 32 || (code > 126 && code < 160))).toEqual([]);
  expect(tail.lines()[0]).toContain('red');
});

test('the kept output is bounded for any input', () => {
  const tail = new OutputTail();
  for (let i = 0; i < 1_000; i++) push(tail, `${'x'.repeat(5_000)}`);
  for (let i = 0; i < 1_000; i++) push(tail, `${i}\n`, 'stderr');
  push(tail, `${'y'.repeat(9)}\n`.repeat(1_000_000), 'stderr');
  const lines = tail.lines(10_000);
  expect(lines.length).toBeLessThanOrEqual(102);
  expect(lines.join('').length).toBeLessThan(20_000);
});

test('secrets are removed, also when a line is passed on in pieces', () => {
  const secret = 'hunter2hunter2';
  const tail = new OutputTail([secret]);
  push(tail, `token=${secret.slice(0, 5)}`);
  push(tail, `${secret.slice(5)}&x\n`);
  expect(tail.lines()).toEqual(['token=…&x']);
  const passed: string[] = [];
  const pass = passOn((bytes) => passed.push(bytes.toString()), [secret]);
  for (const char of `a ${secret} b\n${secret}\nend ${secret}`) pass.push('stdout', Buffer.from(char));
  expect(passed).toEqual(['a … b\n', '…\n']);
  pass.end();
  expect(passed.at(-1)).toBe('end …');
  // Removing short secrets would damage ordinary words.
  expect(redact('a cat', ['cat'])).toBe('a cat');
});

test('without secrets nothing is held back', () => {
  const passed: string[] = [];
  const pass = passOn((bytes) => passed.push(bytes.toString()), []);
  pass.push('stdout', Buffer.from('Continue? [y/N] '));
  expect(passed).toEqual(['Continue? [y/N] ']);
});

test.for([[], ['hunter2hunter2'], ['größerer Schlüssel']])(
  'every byte passes, in any encoding and without line ends, with the secrets %j',
  (secrets) => {
    const input = Buffer.concat([
      Buffer.from([0x80, 0xff, 0xe9, 0x0d, 0x0a, 0xc3]),
      Buffer.alloc(200_000, 0xe4),
      ...secrets.map((secret) => Buffer.from(secret)),
      Buffer.alloc(65_530, 0x81),
      ...secrets.map((secret) => Buffer.from(secret)),
      Buffer.from([0x0a, 0xfe]),
    ]);
    const passed: Buffer[] = [];
    const pass = passOn((bytes) => passed.push(bytes), secrets);
    for (let at = 0; at < input.length; at += 4_093) pass.push('stderr', input.subarray(at, at + 4_093));
    pass.end();
    let wanted = input.toString('latin1');
    for (const secret of secrets)
      wanted = wanted.replaceAll(Buffer.from(secret).toString('latin1'), Buffer.from('…').toString('latin1'));
    expect(Buffer.concat(passed).equals(Buffer.from(wanted, 'latin1'))).toBe(true);
  },
);

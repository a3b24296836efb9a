// A real pseudo-terminal: input for a program that does not read yet waits, within bounds, and all of it arrives.
import {createHash} from 'node:crypto';
import {expect, test} from 'vitest';
import {Pty, type PtyOptions} from '../../../../src/lib/launch/web-terminal/pty.js';

function start(
  script: string,
  onData: (text: string) => void,
): {pty: Pty; exit: Promise<{code: number; signal: number}>} {
  const {promise: exit, resolve: onExit} = Promise.withResolvers<{code: number; signal: number}>();
  const options: PtyOptions = {
    command: ['/bin/sh', '-c', script],
    env: {PATH: process.env.PATH},
    cwd: '/',
    size: {cols: 80, rows: 24},
    onData: (chunk) => onData(Buffer.from(chunk).toString()),
    onExit,
  };
  return {pty: new Pty(options), exit};
}

test('more input than the shell reads at once', async () => {
  const input = Buffer.alloc(1_000_000, 'some input ');
  let output = '';
  const {promise: isUp, resolve: up} = Promise.withResolvers<void>();
  const script = `stty raw -echo; echo up; head -c ${input.length} | sha256sum`;
  const {pty, exit} = start(script, (text) => {
    output += text;
    if (output.includes('up')) up();
  });
  await isUp;
  expect(pty.full).toBeUndefined();
  let waits = 0;
  for (let at = 0; at < input.length; at += 32_768) {
    pty.write(input.subarray(at, at + 32_768));
    const {full} = pty;
    if (full !== undefined) waits += 1;
    await full;
  }
  expect(waits).toBeGreaterThan(0);
  expect(await exit).toEqual({code: 0, signal: 0});
  expect(output).toContain(createHash('sha256').update(input).digest('hex'));
  // After its end nothing is written.
  pty.write('x');
  pty.resize({cols: 90, rows: 20});
  pty.hangUp();
});

test('hangs up', async () => {
  const {promise: isUp, resolve: up} = Promise.withResolvers<void>();
  const {pty, exit} = start('echo up; exec sleep 600', () => up());
  await isUp;
  pty.hangUp();
  expect(await exit).toEqual({code: 0, signal: 1});
});

test('output is not read while it is held; afterwards all of it arrives', async () => {
  let bytes = 0;
  const {pty, exit} = start('head -c 3000000 /dev/zero', (text) => {
    bytes += text.length;
    pty.hold(true);
    setImmediate(() => pty.hold(false));
  });
  expect(await exit).toEqual({code: 0, signal: 0});
  expect(bytes).toBe(3_000_000);
});

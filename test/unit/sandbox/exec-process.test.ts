// A process inside a sandbox as programs use it: what its outputs keep, and what they say at the end of the sandbox.
import {PassThrough} from 'node:stream';
import {expect, test} from 'vitest';
import {TunlError} from '../../../src/lib/core/errors.js';
import type {ProcessEnd} from '../../../src/lib/sandbox/backend.js';
import {ExecProcess} from '../../../src/lib/sandbox/exec-process.js';

function running() {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  const exit = Promise.withResolvers<ProcessEnd>();
  exit.promise.catch(() => {});
  const signals: NodeJS.Signals[] = [];
  const signal = async (name: NodeJS.Signals) => void signals.push(name);
  const inside = {id: 'ex_1', stdin, stdout, stderr, exit: exit.promise, signal, resize: () => {}};
  return {stdin, stdout, stderr, exit, signals, process: new ExecProcess(inside)};
}

test('output that nobody reads does not stop the process, and can be read after its end', async () => {
  const {stdout, exit, process: p} = running();
  const ended = p.wait();
  const piece = Buffer.alloc(1024 * 1024, 'x');
  for (let i = 0; i < 4; i += 1) {
    if (!stdout.write(piece)) await new Promise((resolve) => stdout.once('drain', resolve));
  }
  stdout.end();
  exit.resolve({code: 0});
  expect(await ended).toEqual({code: 0});
  expect((await p.stdout.text()).length).toBe(4 * piece.length);
  expect(p.stdout.droppedBytes).toBe(0);
});

test('an output without end costs at most 16 MiB', async () => {
  const {stdout, process: p} = running();
  const whole = p.stdout.bytes();
  const piece = Buffer.alloc(1024 * 1024, 'x');
  for (let i = 0; i < 20; i += 1) {
    if (!stdout.write(piece)) await new Promise((resolve) => stdout.once('drain', resolve));
  }
  stdout.end();
  expect((await whole).length).toBe(16 * piece.length);
  expect(p.stdout.droppedBytes).toBe(4 * piece.length);
});

test('an iterated output is slowed down by its reader, and wait leaves it alone', async () => {
  const {stdout, exit, process: p} = running();
  const pieces = p.stdout[Symbol.asyncIterator]();
  stdout.write('first');
  expect(String((await pieces.next()).value)).toBe('first');
  exit.resolve({code: 0});
  await p.wait();
  let accepted = 0;
  while (stdout.write(Buffer.alloc(1024))) accepted += 1;
  expect(accepted).toBeLessThan(1024);
  await pieces.return(undefined);
});

test('at the end of the sandbox the outputs have its reason', async () => {
  const {stdout, exit, process: p} = running();
  const text = p.stdout.text();
  const failed = expect(text).rejects.toMatchObject({
    code: 'SANDBOX_ENDED',
    message: 'It has ended (timeout).',
  });
  stdout.destroy(new TunlError('SANDBOX_ENDED'));
  await new Promise(setImmediate);
  exit.reject(new TunlError('SANDBOX_ENDED', {reason: 'It has ended (timeout).'}));
  await failed;
});

test('kill is KILL unless it says otherwise', async () => {
  const {signals, process: p} = running();
  await p.kill();
  await p.kill('SIGINT');
  expect(signals).toEqual(['SIGKILL', 'SIGINT']);
});

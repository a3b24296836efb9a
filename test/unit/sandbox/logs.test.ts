import {expect, test} from 'vitest';
import {OutputLog} from '../../../src/lib/sandbox/logs.js';

async function all(log: OutputLog, options?: {follow?: boolean; signal?: AbortSignal}): Promise<string[]> {
  const pieces: string[] = [];
  for await (const {from, bytes, lostBytes} of log.read(options))
    pieces.push(`${from === 'stdout' ? 'out' : 'err'}${lostBytes ? `-${lostBytes}` : ''}:${bytes}`);
  return pieces;
}

test('pieces keep their source and order', async () => {
  const log = new OutputLog();
  log.write('stdout', Buffer.from('a'));
  log.write('stdout', Buffer.from('b'));
  log.write('stderr', Buffer.from('c'));
  log.write('stdout', Buffer.from('d'));
  expect(await all(log)).toEqual(['out:ab', 'err:c', 'out:d']);
});

test('only the last bytes are kept, and the first piece says how many are gone', async () => {
  const log = new OutputLog(16);
  for (const text of ['0123456789', 'abcdefghij']) log.write('stdout', Buffer.from(text));
  expect(await all(log)).toEqual(['out-4:456789abcdefghij']);
  log.write('stderr', Buffer.from('0123456789abcdefghij'));
  expect(await all(log)).toEqual(['err-24:456789abcdefghij']);
});

test.each([1, 7, 100, 4096, 300_000])(
  'what is kept is the end of the output, written %i bytes at a time',
  async (step) => {
    const log = new OutputLog();
    const whole = Buffer.alloc(700_001);
    for (let at = 0; at < whole.length; at += 1) whole[at] = (at * 31) % 251;
    for (let at = 0; at < whole.length; at += step) log.write('stdout', whole.subarray(at, at + step));
    const pieces = [];
    let lost = 0;
    for await (const {bytes, lostBytes = 0} of log.read()) {
      pieces.push(bytes);
      lost += lostBytes;
    }
    const kept = Buffer.concat(pieces);
    expect(kept.length).toBe(256 * 1024);
    expect(lost + kept.length).toBe(whole.length);
    expect(kept.equals(whole.subarray(lost))).toBe(true);
  },
);

test('output that changes its source with every byte has a limit as well', async () => {
  const log = new OutputLog();
  for (let i = 0; i < 100_000; i += 1) log.write(i % 2 ? 'stdout' : 'stderr', Buffer.from('x'));
  const pieces = await all(log);
  expect(pieces.length).toBeGreaterThan(500);
  expect(pieces.length).toBeLessThanOrEqual(2048);
});

test('a reader that follows gets what comes later, until the end', async () => {
  const log = new OutputLog();
  log.write('stdout', Buffer.from('before '));
  const followed = all(log, {follow: true});
  await new Promise(setImmediate);
  log.write('stdout', Buffer.from('later'));
  await new Promise(setImmediate);
  log.close();
  log.write('stdout', Buffer.from('too late'));
  expect(await followed).toEqual(['out:before ', 'out:later']);
});

test('a slow reader loses bytes and is told; it holds nothing up', async () => {
  const log = new OutputLog(1024);
  const reader = log.read({follow: true});
  log.write('stdout', Buffer.from('first'));
  expect((await reader.next()).value).toMatchObject({bytes: Buffer.from('first')});
  for (let i = 0; i < 10; i += 1) log.write('stdout', Buffer.alloc(1000, 97 + i));
  const {value} = await reader.next();
  expect(value).toMatchObject({lostBytes: 10_000 - 1024});
  await reader.return(undefined);
});

test('a reader that follows stops with its signal', async () => {
  const log = new OutputLog();
  const stop = new AbortController();
  const followed = all(log, {follow: true, signal: stop.signal});
  await new Promise(setImmediate);
  stop.abort();
  expect(await followed).toEqual([]);
});

// Parts of a relay: the order of their starts and ends, and the end of a start that fails.

import {expect, test} from 'vitest';
import {type Part, Parts} from '../../../src/lib/relay/part.js';

function setUp(more: Record<string, Part> = {}) {
  const log: string[] = [];
  const part = (name: string): Part => ({
    start: () => void log.push(`start ${name}`),
    drain: (until) => void log.push(`drain ${name} ${until}`),
    close: (until) => void log.push(`close ${name} ${until}`),
    ...more[name],
  });
  const parts = new Parts({
    now: () => 7,
    onFailed: (error) => void log.push(String(error)),
    parts: [part('a'), undefined, part('b'), part('c')],
  });
  return {log, parts};
}

/** Waits for the test: `done` resolves it. */
function slow(log: () => string[], word: string) {
  let done = () => {};
  const run = () =>
    new Promise<void>((resolve) => {
      done = () => {
        log().push(word);
        resolve();
      };
    });
  return {run, done: () => done()};
}

test('parts start in order, drain in reverse, and close when all have drained', async () => {
  const {log, parts} = setUp();
  await parts.start();
  expect(log.splice(0)).toEqual(['start a', 'start b', 'start c']);
  const ended = parts.end(10);
  // From here on nothing new is accepted, whatever the caller does next.
  expect(log.splice(0)).toEqual(['drain c 10', 'drain b 10', 'drain a 10']);
  await ended;
  expect(log).toEqual(['close c 10', 'close b 10', 'close a 10']);
});

test('a part waits for the one before it in the order', async () => {
  const word = slow(() => log, 'b has drained');
  const {log, parts} = setUp({b: {drain: word.run}});
  const ended = parts.end(10);
  expect(log).toEqual(['drain c 10']);
  word.done();
  await ended;
  expect(log).toEqual([
    'drain c 10',
    'b has drained',
    'drain a 10',
    'close c 10',
    'close b 10',
    'close a 10',
  ]);
});

test('when a part cannot start, all are closed and none is drained', async () => {
  const {log, parts} = setUp({
    b: {
      start: () => {
        throw new Error('no');
      },
    },
  });
  await expect(parts.start()).rejects.toThrow('no');
  expect(log).toEqual(['start a', 'close c 7', 'close b 7', 'close a 7']);
});

test.each([
  [
    'throws',
    () => {
      throw new Error('no');
    },
  ],
  ['rejects', () => Promise.reject(new Error('no'))],
])('a part that %s does not keep others from their end', async (_how, fail: () => Promise<void>) => {
  const {log, parts} = setUp({b: {drain: fail, close: fail}});
  await parts.end(10);
  expect(log).toEqual(['drain c 10', 'Error: no', 'drain a 10', 'close c 10', 'Error: no', 'close a 10']);
});

import {describe, expect} from 'vitest';
import type {Scope} from '../../helpers/scope.js';
import {source, startScript} from '../../helpers/source-script.js';
import {test} from '../../helpers/test.js';

test('a connection joined with stdout leaves nothing behind for the pieces that had to wait', async ({
  scope,
}) => {
  // A piece of this size always has to wait. Each would leave a promise.
  const script = `
    import {Duplex} from 'node:stream';
    import {queryObjects} from 'node:v8';
    import {joinStdio} from ${source('lib/cli/stdout')};
    const piece = '.'.repeat(process.stdout.writableHighWaterMark) + '\\n';
    const promises = () => queryObjects(Promise, {format: 'count'});
    const counts = [];
    let left = 200;
    const peer = new Duplex({
      write: (chunk, encoding, done) => done(),
      read() {
        if (left === 200 || left === 0) counts.push(promises());
        this.push(left-- > 0 ? piece : null);
      },
    });
    await joinStdio(peer);
    process.stderr.write('left behind: ' + (counts[1] - counts[0]));`;
  const child = startScript(scope, script);
  const [, left] = await child.saidOnStderr(/left behind: (-?\d+)/);
  expect(Number(left)).toBeLessThan(50);
  expect(await child.exited).toMatchObject({code: 0});
  expect(child.lines).toHaveLength(200);
});

describe('a reader that has stopped reads on after every limit of time', () => {
  /** More than every pipe takes. */
  const LINES = 10_000;

  /** All limits of time have passed at once. */
  function startUnread(scope: Scope, run: string) {
    const child = startScript(
      scope,
      `
      import {hold} from ${source('lib/cli/hold')};
      import {writeLine} from ${source('lib/cli/stdout')};
      import {wholeProcess} from ${source('lib/cli/whole-process')};
      const write = () => {
        for (let left = ${LINES}; left > 0; left -= 1) writeLine('.'.repeat(99));
        process.stderr.write('written\\n');
      };
      const open = async () => {
        const {promise: closed, resolve} = Promise.withResolvers();
        write();
        return {closed, close: async () => resolve(), end: resolve};
      };
      const ended = async () => {
        const held = await open();
        held.end();
        return held;
      };
      const stopped = async () => {
        process.kill(process.pid, 'SIGTERM');
        return await open();
      };
      const held = (open, more) => hold({open, drainTimeoutMs: 0, onLeave: () => {}, ...more});
      process.on('exit', () => process.stderr.write('ends\\n'));
      globalThis.setTimeout = (fn) => void fn();
      await wholeProcess([], async () => ${run});`,
    );
    return {child, readOn: child.holdStdout()};
  }

  test.for([
    ['a command', 'write()'],
    ['a program whose output is passed on', 'held(ended, {passesOutput: true})'],
  ])('%s waits for it', async ([, run = ''], {scope}) => {
    const {child, readOn} = startUnread(scope, run);
    await child.saidOnStderr(/written/);
    readOn();
    expect(await child.exited).toEqual({code: 0, signal: null});
    expect(child.lines).toHaveLength(LINES);
  });

  test.for([
    ['a tunnel', 'held(ended)'],
    ['a program that is asked to end', 'held(stopped, {passesOutput: true})'],
  ])('%s ends without it', async ([, run = ''], {scope}) => {
    const {child, readOn} = startUnread(scope, run);
    await child.saidOnStderr(/ends/);
    readOn();
    expect(await child.exited).toEqual({code: 0, signal: null});
    expect(child.lines.length).toBeLessThan(LINES);
  });
});

import {Writable} from 'node:stream';
import {setImmediate} from 'node:timers/promises';
import {expect, onTestFinished, test, vi} from 'vitest';
import {gatherStderr} from '../../../src/lib/cli/gather-stderr.js';
import {Scope} from '../../helpers/scope.js';
import {source, startScript} from '../../helpers/source-script.js';

/** A stderr that notes its writes. */
function stderr() {
  const writes: string[][] = [];
  const stream = new Writable({
    decodeStrings: false,
    write(line: string, _encoding, done) {
      writes.push([line]);
      done();
    },
    writev(lines, done) {
      writes.push(lines.map(({chunk}) => String(chunk)));
      done();
    },
  });
  vi.spyOn(process, 'stderr', 'get').mockReturnValue(stream as unknown as typeof process.stderr);
  onTestFinished(() => void vi.restoreAllMocks());
  return {stream, writes};
}

test('the lines of one turn leave together and in order, those of the next turn after them', async () => {
  const {stream, writes} = stderr();
  for (const line of ['a', 'b']) {
    gatherStderr();
    stream.write(line);
  }
  stream.write('not a diagnostic');
  expect(writes).toEqual([]);
  await setImmediate();
  gatherStderr();
  stream.write('c');
  await setImmediate();
  expect(writes).toEqual([['a', 'b', 'not a diagnostic'], ['c']]);
});

test('a process that ends in the middle of a turn writes its last lines', async () => {
  await using scope = new Scope();
  const script = `
    import {gatherStderr} from ${source('lib/cli/gather-stderr')};
    gatherStderr();
    process.stderr.write('last');
    process.exit(3);`;
  const child = startScript(scope, script);
  expect(await child.exited).toMatchObject({code: 3});
  expect(child.stderr).toContain('last');
});

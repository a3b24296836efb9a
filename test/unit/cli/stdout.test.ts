import {expect} from 'vitest';
import {Child} from '../../helpers/child.js';
import {projectRoot} from '../../helpers/cli.js';
import {test} from '../../helpers/test.js';

test('a connection joined with stdout leaves nothing behind for the pieces that had to wait', async ({
  scope,
}) => {
  // A piece of this size always has to wait. Each would leave a promise.
  const script = `
    import {Duplex} from 'node:stream';
    import {queryObjects} from 'node:v8';
    import {joinStdio} from ${JSON.stringify(`${projectRoot}src/lib/cli/stdout.ts`)};
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
  const child = Child.start(scope, process.execPath, [
    ...['--import', `${projectRoot}test/helpers/ts-hook.js`],
    ...['--input-type=module', '--eval', script],
  ]);
  const [, left] = await child.saidOnStderr(/left behind: (-?\d+)/);
  expect(Number(left)).toBeLessThan(50);
  expect(await child.exited).toMatchObject({code: 0});
  expect(child.lines).toHaveLength(200);
});

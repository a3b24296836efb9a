import {join} from 'node:path';
import {expect} from 'vitest';
import {startInBackground} from '../../../src/lib/launch/background.js';
import {test} from '../../helpers/test.js';
import {unhandledRejections} from '../../helpers/unhandled.js';
import {withoutNode} from '../../helpers/without-node.js';

test('a process that cannot be started is told of where its first message is awaited', async ({scope}) => {
  withoutNode(scope);
  const unhandled = unhandledRejections(scope);
  const {first} = await startInBackground('abcdef', ['expose'], join(await scope.tempDir(), 'log'));
  expect(await unhandled()).toEqual([]);
  await expect(first).rejects.toMatchObject({code: 'ENOENT'});
});

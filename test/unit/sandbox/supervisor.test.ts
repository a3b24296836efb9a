import {closeSync, openSync} from 'node:fs';
import {expect} from 'vitest';
import {logTo} from '../../../src/lib/sandbox/supervisor/log-to.js';
import {startSupervisor} from '../../../src/lib/sandbox/supervisor/start.js';
import {test} from '../../helpers/test.js';
import {unhandledRejections} from '../../helpers/unhandled.js';
import {withoutNode} from '../../helpers/without-node.js';

test('a supervisor that cannot be started is told of, and ends nothing', async ({scope}) => {
  withoutNode(scope);
  const unhandled = unhandledRejections(scope);
  const stateDir = await scope.tempDir('state');
  await expect(startSupervisor(['true'], {stateDir})).rejects.toMatchObject({
    code: 'SANDBOX_FAILED',
    message: '/nowhere/node cannot be started.',
  });
  expect(await unhandled()).toEqual([]);
});

test('a full disk costs lines of the log, and nothing else', ({scope}) => {
  const full = openSync('/dev/full', 'w');
  scope.onEnd(() => closeSync(full));
  const log = logTo(full);
  for (const level of ['warn', 'error'] as const) log({level, scope: 'egress', message: 'refused'});
});

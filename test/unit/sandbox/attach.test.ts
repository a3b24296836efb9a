// A process inside outlives the connection of whoever started it, and others find it by its id.
import {once} from 'node:events';
import {expect} from 'vitest';
import {beginServed} from '../../../src/lib/sandbox/begin.js';
import {findSandbox} from '../../../src/lib/sandbox/open.js';
import {Sandbox} from '../../../src/lib/sandbox/sandbox.js';
import {FakeBackend} from '../../helpers/fake-sandbox.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

async function begin(scope: Scope) {
  const stateDir = await scope.tempDir('state');
  const openBackend = async () => new FakeBackend();
  const {host, closed} = await beginServed(
    ['sleep', '1000'],
    {stateDir, idleTimeoutMs: 3_600_000},
    {openBackend},
  );
  scope.onEnd(async () => {
    await host.terminate();
    await closed;
  });
  return {host, stateDir};
}

test('with keep it goes on, and a later caller has its streams and its end', async ({scope}) => {
  const {host, stateDir} = await begin(scope);
  const first = await findSandbox(host.id, stateDir);
  const started = await first.exec({command: ['cat'], keep: true});
  started.stdin.write('one\n');
  const [seen] = await once(started.stdout, 'data');
  expect(String(seen)).toBe('one\n');
  first.close();

  const second = await findSandbox(host.id, stateDir);
  const again = await second.attach(started.id);
  expect(again.id).toBe(started.id);
  again.stdin.end('two\n');
  let output = '';
  for await (const piece of again.stdout) output += String(piece);
  expect(output).toBe('two\n');
  expect(await again.exit).toEqual({code: 0});
  await expect(second.attach(started.id)).rejects.toMatchObject({code: 'SANDBOX_COMMAND'});
  second.close();
});

test('in the process that owns the sandbox it is the same process', async ({scope}) => {
  const {host} = await begin(scope);
  const sandbox = new Sandbox(host);
  const cat = await sandbox.exec(['cat']);
  const same = await sandbox.attach(cat.id);
  cat.stdin.end('text');
  expect(await same.stdout.text()).toBe('text');
  expect(await same.wait()).toEqual({code: 0});
  await expect(sandbox.attach(cat.id)).rejects.toMatchObject({code: 'SANDBOX_COMMAND'});
  await sandbox.terminate();
  await expect(sandbox.attach(cat.id)).rejects.toMatchObject({code: 'SANDBOX_ENDED'});
});

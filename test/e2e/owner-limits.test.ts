// The limits of an owner's token, made by `tunl relay token`, as its agents and their visitors meet them; changed while they live.

import {once} from 'node:events';
import {createServer} from 'node:net';
import {performance} from 'node:perf_hooks';
import {expect} from 'vitest';
import {expose, runCli, startCli} from '../helpers/cli.js';
import {until} from '../helpers/launching.js';
import {startRelayProcess} from '../helpers/relay.js';
import {test} from '../helpers/test.js';
import {echoUpstream} from '../helpers/upstreams.js';
import {boldVisitor, tcpVisitor} from '../helpers/visitors.js';

test('tunnels, connections and bandwidth of an owner', async ({scope}) => {
  const stateDir = await scope.tempDir('relay');
  const relay = await startRelayProcess(scope, {stateDir, withToken: false, flags: ['--log-level', 'info']});
  const tokens = async (...words: string[]) => await runCli(scope, ['relay', 'token', ...words], {stateDir});
  const made = await tokens(
    ...['create', 'laptop', '--owner', 'ana', '--scope', 'name:*', '--scope', 'tcp:*'],
    // A tunnel with `--tcp` has a name and a port.
    ...['--max-tunnels', '4', '--max-connections', '2', '--max-bandwidth', '1MiB'],
  );
  const token = made.stdout.trim();
  const env = {...relay.env, TUNL_TOKEN: token};

  const size = 1_500_000;
  const bulk = createServer((socket) => {
    socket.on('error', () => {});
    socket.end(Buffer.alloc(size));
  });
  const open = await expose(scope, await echoUpstream(scope), {env, flags: ['--tcp', '--no-probe']});
  const download = await expose(scope, await scope.listen(bulk), {env, flags: ['--tcp', '--no-probe']});
  const third = await startCli(scope, ['expose', '1', '--json'], {env});
  expect((await third.finished()).code).toBe(5);
  expect(third.error).toMatchObject({
    code: 'LIMIT_REACHED',
    message: 'The owner has as many tunnels as its token allows.',
  });

  // A second and a half for the limit of a second; the burst and one piece come early.
  const port = (of: typeof open) => of.ready.tcp?.port ?? 0;
  const since = performance.now();
  const visitor = await tcpVisitor(scope, port(download));
  let bytes = 0;
  visitor.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await once(visitor, 'end');
  visitor.end();
  expect(bytes).toBe(size);
  const rate = (size - 0.05 * 2 ** 20 - 64 * 1024) / ((performance.now() - since) / 1_000);
  expect(rate).toBeLessThan(1.02 * 2 ** 20);

  // Visitors of all tunnels of the owner count together.
  const stays = async () => {
    const socket = boldVisitor(scope, port(open));
    socket.on('error', () => {});
    socket.write('hello');
    const said = await Promise.race([
      once(socket, 'data').then(() => true),
      once(socket, 'close').then(() => false),
    ]).catch(() => false);
    return said ? socket : undefined;
  };
  await until(async () => (await stays()) !== undefined);
  await until(async () => (await stays()) !== undefined);
  expect(await stays()).toBeUndefined();
  await until(() => /a limit is reached limit=visitors by=owner of=ana/.test(relay.cli.stderr));

  const [, , id = ''] = token.split('_');
  expect((await tokens('set', id, '--max-connections', '3', '--max-tunnels', '5')).code).toBe(0);
  await until(async () => (await stays()) !== undefined);
  const again = await expose(scope, 1, {env});
  expect(again.ready.url).toBeDefined();
});

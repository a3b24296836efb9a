// A connection that did not end in order: code and reason in the events, and in the line for people.

import {connect} from 'node:net';
import {expect} from 'vitest';
import {startCli} from '../helpers/cli.js';
import {startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {tcpUpstream} from '../helpers/upstreams.js';

const resettingUpstream = (scope: Scope) =>
  tcpUpstream(scope, (socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.resetAndDestroy());
  });

async function visitOnce(scope: Scope, port: number): Promise<void> {
  const visitor = connect(port, '127.0.0.1');
  scope.onEnd(() => void visitor.destroy());
  const closed = new Promise<void>((resolve) => visitor.on('error', () => {}).once('close', () => resolve()));
  visitor.write('hello');
  await closed;
}

test('an upstream that breaks the connection', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const upstream = await resettingUpstream(scope);
  const {cli, ready} = await relay.expose(upstream, {flags: ['--tcp']});
  await visitOnce(scope, ready.tcp?.port ?? 0);
  expect(await cli.event('connection', ({state}) => state === 'closed')).toMatchObject({
    code: 'UPSTREAM_RESET',
    reason: 'the upstream broke the connection',
  });

  const plain = await startCli(scope, ['expose', String(upstream), '--tcp', '--plain'], {env: relay.env});
  const address = await plain.line();
  await visitOnce(scope, Number(address.split(':').at(-1)));
  await plain.saidOnStderr(/ closed .* UPSTREAM_RESET \(the upstream broke the connection\)\n/);
});

// A port without a listener, for example a typing error: the command says so at once, in each form of output.

import {once} from 'node:events';
import {createServer} from 'node:net';
import {expect} from 'vitest';
import {run} from '../helpers/child.js';
import {expose, startCli} from '../helpers/cli.js';
import {twoHosts} from '../helpers/net-ns.js';
import {type Scope, unusedPort} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {record} from '../helpers/upstreams.js';
import {tcpVisitor} from '../helpers/visitors.js';

async function listenOn(scope: Scope, port: number): Promise<void> {
  const server = createServer().listen(port, '127.0.0.1');
  scope.onEnd(() => void server.close());
  await once(server, 'listening');
}

test('without a terminal: one line, and another when somebody listens', async ({scope}) => {
  const port = await unusedPort();
  const cli = await startCli(scope, ['expose', String(port)]);
  await cli.saidOnStderr(
    new RegExp(`^[\\d:]+  warning: nothing answers on localhost:${port} yet: .*\n`, 'm'),
  );
  await listenOn(scope, port);
  await cli.saidOnStderr(new RegExp(`^[\\d:]+  localhost:${port} answers now, after `, 'm'));
  expect(await cli.stop()).toEqual({code: 0, signal: null});
  expect(cli.stdout).toMatch(/^https:\S+\n$/);
});

test('an upstream that never answers: the visitors get an end, and the agent says why', async ({scope}) => {
  const wire = await twoHosts(scope);
  await wire.cut();
  const target = `${wire.two.address}:8000`;
  const {cli, ready} = await expose(scope, target, {
    flags: ['--offline-page', '--tcp'],
    namespace: wire.one.namespace,
  });
  // Nothing has come back when the limit of a dial has passed.
  const {namespace} = wire.one;
  const page = run(scope, 'curl', ['-sS', '-o', '/dev/null', '-w', '%{http_code}', '-k', ready.url ?? ''], {
    namespace,
  });
  const script = `exec 3<>/dev/tcp/127.0.0.1/${ready.tcp?.port}; cat <&3`;
  const reset = run(scope, 'bash', ['-c', script], {namespace});
  const {message} = await cli.event('notice', ({message: text}) => /the visitor/.test(text));
  expect(message).toMatch(
    new RegExp(
      `^${target} does not answer in time \\(ETIMEDOUT; .*firewall.*\\): the visitor (was reset|got the offline page)`,
    ),
  );
  expect(await page).toMatchObject({code: 0, stdout: '503'});
  expect((await reset).stderr).toContain('reset by peer');
  await cli.event('connection', ({state, id}) => state === 'refused' && id === 2);
  const ends = cli.events.filter((event) => event.type === 'connection');
  const late = {state: 'refused', code: 'UPSTREAM_TIMEOUT', reason: 'the upstream did not answer in time'};
  expect(ends).toMatchObject([late, late]);
});

test('with --json: the same events as for a refused visitor', async ({scope}) => {
  const port = await unusedPort();
  const {cli} = await expose(scope, port);
  const upstream = `localhost:${port}`;
  const {message} = await cli.event('notice', ({code}) => code === 'UPSTREAM_REFUSED');
  expect(message).toContain(upstream);
  expect(await cli.event('upstream')).toEqual({type: 'upstream', upstream, answers: false});
});

test('with -q: no output', async ({scope}) => {
  const cli = await startCli(scope, ['expose', String(await unusedPort()), '-q']);
  await cli.line();
  await cli.stop();
  expect(cli.stderr).toBe('');
});

test('with --wait-upstream: visitors wait, and are served when somebody listens', async ({scope}) => {
  const port = await unusedPort();
  const {cli, ready} = await expose(scope, port, {flags: ['--tcp', '--wait-upstream', '1m']});
  const {message} = await cli.event('notice', ({code}) => code === 'UPSTREAM_REFUSED');
  expect(message).toContain('visitors wait');
  const visitor = await tcpVisitor(scope, ready.tcp?.port ?? 0);
  visitor.write('hello');
  const answer = record(visitor);
  const server = createServer((socket) => socket.pipe(socket));
  await scope.listen(server, '127.0.0.1', port);
  expect(String(await answer.received(5))).toBe('hello');
  const open = cli.events.filter((event) => event.type === 'connection');
  expect(open.map(({state}) => state)).toEqual(['open']);
});

// A tunnel whose upstream is the relay itself: the load that a visitor causes is bounded, and it ends.
import {once} from 'node:events';
import {connect} from 'node:tls';
import {expect} from 'vitest';
import {until} from '../helpers/launching.js';
import {atMost} from '../helpers/metric.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import {type Scope, unusedPort} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {httpUpstream, record} from '../helpers/upstreams.js';
import {boldVisitor, curl, tlsVisitor} from '../helpers/visitors.js';
import {sized} from './rig.js';

const visits = sized(20, 500);

/** How many visitors the relay has open, from its own page. */
async function openVisitors(scope: Scope, relay: RelayProcess): Promise<number> {
  const {stdout} = await curl(scope, relay.caFile, [`${relay.url}/healthz`]);
  return (JSON.parse(stdout) as {visitors: number}).visitors;
}

test('a TCP port that leads to itself: each visitor is reset after a few rounds', async ({scope}) => {
  const port = await unusedPort();
  const relay = await startRelayProcess(scope, {tcpPorts: `${port}-${port}`, withToken: false});
  const good = await relay.expose((await httpUpstream(scope, 'still here')).port);
  const {cli, ready} = await relay.expose(port, {flags: ['--tcp', '--remote-port', String(port)]});
  expect(ready.tcp?.port).toBe(port);
  const since = performance.now();
  for (let i = 0; i < visits; i += 1) {
    const visitor = record(boldVisitor(scope, port));
    visitor.socket.write('hello');
    await visitor.closed;
    expect(visitor.data().length).toBe(0);
  }
  const name = 'a TCP port that leads to itself';
  const ms = (performance.now() - since) / visits;
  expect(atMost(name, 'ms until a visitor is reset', Math.round(ms), 5_000)).toBe(true);
  await until(async () => (await openVisitors(scope, relay)) === 0);
  const connections = cli.events.filter((event) => event.type === 'connection' && event.state !== 'closed');
  expect(atMost(name, 'visits that one visit leads to', connections.length / visits, 50)).toBe(true);
  expect(await cli.event('notice')).toMatchObject({
    code: 'UPSTREAM_REFUSED',
    message: expect.stringContaining("is the tunnel's own public port"),
  });
  expect((await curl(scope, relay.caFile, [`${good.ready.url}/`])).stdout).toBe('still here');
  expect([cli.exit, relay.cli.exit]).toEqual([undefined, undefined]);
});

test("the relay's TLS port behind one of its names: each round needs another TLS layer of the visitor", async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const {cli, ready} = await relay.expose(relay.port);
  const {host, port} = ready.tls ?? {host: '', port: 0};
  // The bytes of a browser are no TLS after the first layer has ended.
  const page = await curl(scope, relay.caFile, [`${ready.url}/`]);
  expect(page.stdout).toContain('This port speaks TLS');
  // A visitor with TLS inside TLS makes as many rounds as it has layers.
  const rounds = 4;
  const outermost = await tlsVisitor(scope, {host, port}, {caFile: relay.caFile});
  let visitor = outermost;
  for (let round = 1; round < rounds; round += 1) {
    visitor = connect({socket: visitor, servername: host, rejectUnauthorized: false});
    await once(visitor, 'secureConnect');
  }
  const innermost = record(visitor);
  visitor.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  const answer = await innermost.received(100);
  expect(answer.toString()).toContain('This port speaks TLS');
  outermost.destroy();
  await until(async () => (await openVisitors(scope, relay)) === 0);
  const opened = cli.events.filter((event) => event.type === 'connection' && event.state === 'open');
  expect(opened.length).toBe(1 + rounds);
  const name = 'a TLS port that leads to itself';
  expect(atMost(name, 'visits for each layer of TLS', (opened.length - 1) / rounds, 1)).toBe(true);
  expect([cli.exit, relay.cli.exit]).toEqual([undefined, undefined]);
});

// Many tunnels, many visitors, and some of them that stop reading: the others are not affected.
import {once} from 'node:events';
import {createServer} from 'node:net';
import type {TLSSocket} from 'node:tls';
import {expect} from 'vitest';
import {MiB} from '../helpers/bytes.js';
import {Child} from '../helpers/child.js';
import {projectRoot} from '../helpers/cli.js';
import {atMost} from '../helpers/metric.js';
import {startRelayProcess} from '../helpers/relay.js';
import {portOf, type Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream, neverReadingUpstream, pouringUpstream} from '../helpers/upstreams.js';
import {tcpVisitor, tlsVisitor} from '../helpers/visitors.js';

interface Forwarded {
  port: number;
  tls: [host: string, port: number];
}

/** A process with as many tunnels as ports, by the library. */
async function forwardAll(scope: Scope, ports: readonly number[], env: Record<string, string>) {
  const stateDir = await scope.tempDir('state');
  const agent = Child.start(
    scope,
    process.execPath,
    [`${projectRoot}test/helpers/forward-all.js`, ...ports.map(String)],
    {
      name: 'agents',
      env: {...env, TUNL_STATE_DIR: stateDir},
    },
  );
  await agent.line((line) => line === 'all');
  const tunnels = agent.lines.filter((line) => line !== 'all').map((line) => JSON.parse(line) as Forwarded);
  return {agent, tunnels};
}

test('200 tunnels, 1,000 visitors at once, no error', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const ports: number[] = [];
  for (let i = 0; i < 200; i++) {
    // Each upstream first sends its own port, so that a visitor at the wrong one is noticed.
    const server = createServer({allowHalfOpen: true}, (socket) => {
      socket.on('error', () => {});
      socket.write(`${portOf(server)}\n`);
      socket.pipe(socket);
    });
    ports.push(await scope.listen(server));
  }
  const {agent, tunnels} = await forwardAll(scope, ports, relay.env);
  expect(tunnels.length).toBe(200);
  expect(new Set(tunnels.map(({tls}) => tls[0])).size).toBe(200);

  // All are open before the first one sends anything. They come in groups of two hundred: a relay waits four seconds
  // for a visitor's first bytes, and one process may need longer to send the first bytes of a thousand connections.
  const visitors: TLSSocket[] = [];
  for (let round = 0; round < 5; round++) {
    const crowd = tunnels.map(({tls: [host, port]}) =>
      tlsVisitor(scope, {host, port}, {caFile: relay.caFile}),
    );
    visitors.push(...(await Promise.all(crowd)));
  }
  let errors = 0;
  await Promise.all(
    visitors.map(async (visitor, i) => {
      const said = Buffer.alloc(10_000, `visitor ${i} `);
      visitor.end(said);
      const chunks: Buffer[] = [];
      visitor.on('data', (chunk: Buffer) => chunks.push(chunk));
      await once(visitor, 'end');
      const greeting = `${tunnels[i % tunnels.length]?.port}\n`;
      if (!Buffer.concat(chunks).equals(Buffer.concat([Buffer.from(greeting), said]))) errors += 1;
    }),
  );
  expect(atMost('200 tunnels, 1,000 visitors', 'errors', errors, 0)).toBe(true);
  expect
    .soft(atMost('200 tunnels, 1,000 visitors', 'relay peak RSS bytes', relay.cli.peakRssBytes(), 400 * MiB))
    .toBe(true);
  expect((await agent.stop()).code).toBe(0);
});

/** `count` visitors, one after the other, who each get all their bytes back. */
async function goodVisits(scope: Scope, port: number, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const visitor = await tcpVisitor(scope, port);
    const said = Buffer.alloc(50_000, `visit ${i} `);
    visitor.end(said);
    const chunks: Buffer[] = [];
    for await (const chunk of visitor) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).equals(said)).toBe(true);
  }
}

test('visitors who stop reading and upstreams that never read do not affect others', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const ports = [
    await echoUpstream(scope),
    await pouringUpstream(scope, 1024 * MiB),
    await neverReadingUpstream(scope),
  ];
  // One agent with three tunnels: they share its session, where one could hold up another.
  const stateDir = await scope.tempDir('state');
  const agent = Child.start(
    scope,
    process.execPath,
    [`${projectRoot}test/helpers/forward-all.js`, '--tcp', ...ports.map(String)],
    {name: 'agents', env: {...relay.env, TUNL_STATE_DIR: stateDir}},
  );
  await agent.line((line) => line === 'all');
  const [echo = 0, pour = 0, deaf = 0] = agent.lines
    .filter((line) => line !== 'all')
    .map((line) => (JSON.parse(line) as {tcp: [string, number]}).tcp[1]);
  await goodVisits(scope, echo, 20);
  const before = {relay: relay.cli.rssBytes(), agent: agent.rssBytes()};

  const stopped = await tcpVisitor(scope, pour);
  stopped.once('data', () => stopped.pause());
  await once(stopped, 'data');
  const pusher = await tcpVisitor(scope, deaf);
  pusher.on('error', () => {});
  // Writes until the socket takes no more: 64 MiB are more than all buffers on the path together.
  let accepted = 0;
  const piece = Buffer.alloc(MiB);
  while (accepted < 64 && (pusher.write(piece) || (await drained(pusher)))) accepted += 1;
  expect(accepted).toBeLessThan(64);

  await goodVisits(scope, echo, 50);
  const name = 'stopped reader and deaf upstream';
  const grown = (now: number, then: number) => Math.max(0, now - then);
  expect
    .soft(atMost(name, 'relay RSS growth bytes', grown(relay.cli.rssBytes(), before.relay), 64 * MiB))
    .toBe(true);
  expect
    .soft(atMost(name, 'agent RSS growth bytes', grown(agent.rssBytes(), before.agent), 64 * MiB))
    .toBe(true);

  // The visitor who stopped continues.
  let received = 0;
  stopped.on('data', (chunk: Buffer) => {
    received += chunk.length;
    if (received > 32 * MiB) stopped.emit('enough');
  });
  stopped.resume();
  await once(stopped, 'enough');
});

/** Whether a socket takes bytes again within a time that is long for loopback. */
async function drained(socket: NodeJS.EventEmitter): Promise<boolean> {
  const timeout = AbortSignal.timeout(1500);
  return once(socket, 'drain', {signal: timeout}).then(
    () => true,
    () => false,
  );
}

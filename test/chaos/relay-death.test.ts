// A relay with many agents that dies: all come back to their names, spread over time.
import {createServer, type Socket} from 'node:net';
import {expect} from 'vitest';
import {atLeast, atMost} from '../helpers/metric.js';
import {startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {type ParkEvent, startPark} from '../helpers/start-park.js';
import {test} from '../helpers/test.js';
import {record} from '../helpers/upstreams.js';
import {tlsVisitor} from '../helpers/visitors.js';
import {leased} from './lease-table.js';
import {certificateFlags, keptPorts, sized, sleep} from './rig.js';

/** Few agents come in the same second by chance now and then. */
const agents = sized(20, 50);
const tunnelsEach = sized(5, 20);
/** Long enough for the waits between attempts to grow: a shorter time would not show the spread. */
const downMs = 10_000;
/** A quarter of them in one second; with a hundred agents, chance alone can exceed it. */
const mostInOneSecond = sized(0.4, 0.25);

/** Upstreams that send the address by which they were dialled, so that a visitor at the wrong one is noticed. */
async function greeters(scope: Scope, count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let i = 0; i < count; i += 1) {
    const server = createServer((socket: Socket) => {
      socket.on('error', () => {});
      socket.end(`${socket.localAddress}:${socket.localPort}`);
    });
    ports.push(await scope.listen(server, '0.0.0.0'));
  }
  return ports;
}

async function visit(scope: Scope, {agent, port, tls}: ParkEvent, caFile: string): Promise<boolean> {
  const visitor = await tlsVisitor(scope, tls ?? {host: '', port: 0}, {caFile});
  const heard = record(visitor);
  await heard.ended;
  visitor.destroy();
  return heard.data().toString() === `127.1.${agent >> 8}.${agent & 255}:${port}`;
}

test('kill -9 of the relay: all tunnels come back with their names, spread over time', async ({scope}) => {
  const {flags, caFile} = await certificateFlags(scope);
  const stateDir = await scope.tempDir('relay');
  const options = {...(await keptPorts()), stateDir, withToken: false, flags};
  const relay = await startRelayProcess(scope, options);
  const ports = await greeters(scope, tunnelsEach);
  const env = {...relay.env, TUNL_CA_FILE: caFile};
  const {eventsOf, heard} = await startPark(scope, {agents, ports, env});
  const tunnels = eventsOf('ready');
  expect(tunnels.length).toBe(agents * tunnelsEach);
  await leased(stateDir, tunnels);

  relay.cli.signal('SIGKILL');
  await relay.cli.exited;
  await sleep(downMs);
  const again = await startRelayProcess(scope, options);
  const since = Date.now();
  // A visitor who comes before the agent is back waits for it.
  const [first] = tunnels;
  const early = first && visit(scope, first, caFile).catch(() => false);
  await heard('resumed', tunnels.length);
  const back = eventsOf('resumed').map(({at}) => at - since);

  const name = `kill -9 under ${tunnels.length} tunnels of ${agents} agents`;
  expect.soft(atMost(name, 'ms until all are back', Math.max(...back), 30_000)).toBe(true);
  const seconds = new Map<number, number>();
  for (const ms of back) seconds.set(Math.floor(ms / 1000), (seconds.get(Math.floor(ms / 1000)) ?? 0) + 1);
  const share = Math.max(...seconds.values()) / tunnels.length;
  expect.soft(atMost(name, 'largest share of one second', share, mostInOneSecond)).toBe(true);
  // A bind follows its link: a visitor who is faster waits for it.
  let right = 0;
  for (const tunnel of tunnels) if (await visit(scope, tunnel, caFile).catch(() => false)) right += 1;
  expect(atLeast(name, 'the same name leads to the same upstream', right, tunnels.length)).toBe(true);
  expect.soft(early && (await early)).toBeTypeOf('boolean');
  expect(again.cli.exit).toBeUndefined();
});

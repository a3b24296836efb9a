// A link that is lost again and again: visitors hardly notice, and those who wait are not forgotten.
import {expect} from 'vitest';
import {atMost} from '../helpers/metric.js';
import {test} from '../helpers/test.js';
import {echoUpstream, record, tcpUpstream} from '../helpers/upstreams.js';
import {tcpVisitor} from '../helpers/visitors.js';
import {sized, sleep, startRig} from './rig.js';

const cutEveryMs = 5_000;
const cuts = sized(6, 24);
/** Among few cuts chance weighs more. */
const mostStandstill = sized(0.08, 0.05);
/** The upstream says something this often; a longer silence of the visitor's is a standstill. */
const tickMs = 10;
const noticedMs = 100;

test('a link that is cut every 5 s: a stream stands still for less than 5 % of the time', async ({scope}) => {
  const rig = await startRig(scope);
  const port = await tcpUpstream(scope, (socket) => {
    const timer = setInterval(() => socket.write('tick'), tickMs);
    socket.on('close', () => clearInterval(timer));
    socket.resume();
  });
  const {cli, ready} = await rig.expose(port, {flags: ['--tcp']});
  const visitor = await tcpVisitor(scope, ready.tcp?.port ?? 0);
  let last = performance.now();
  let stoodStillMs = 0;
  visitor.on('data', () => {
    const now = performance.now();
    if (now - last > noticedMs) stoodStillMs += now - last;
    last = now;
  });
  const since = performance.now();
  for (let i = 0; i < cuts; i += 1) {
    await sleep(cutEveryMs);
    rig.proxy.reset();
  }
  await sleep(cutEveryMs);
  const share = stoodStillMs / (performance.now() - since);
  const name = `${cuts} cuts, one every ${cutEveryMs / 1000} s`;
  expect.soft(atMost(name, 'share of the time that a stream stands still', share, mostStandstill)).toBe(true);
  const resumed = cli.events.filter((event) => event.type === 'resumed');
  expect(resumed.length).toBe(cuts);
  expect(resumed.every((event) => event.resumed === 1 && event.lost === 0)).toBe(true);
  // Every loss is a first one: the waits do not grow.
  expect(cli.events.filter((event) => event.type === 'reconnecting' && event.attempt > 1)).toEqual([]);
});

test('a relay that refuses for most of the window, again and again: the stream is resumed each time', async ({
  scope,
}) => {
  const windowMs = sized(6_000, 60_000);
  const rig = await startRig(scope, {flags: ['--resume-window', `${windowMs}ms`]});
  const {cli, ready} = await rig.expose(await echoUpstream(scope), {flags: ['--tcp']});
  const visitor = record(await tcpVisitor(scope, ready.tcp?.port ?? 0));
  visitor.socket.write('x');
  await visitor.received(1);
  const rounds = sized(3, 20);
  for (let round = 1; round <= rounds; round += 1) {
    await rig.proxy.refuse();
    rig.proxy.reset();
    visitor.socket.write('x');
    await sleep((windowMs * 5) / 6);
    await rig.proxy.accept();
    await visitor.received(1 + round);
  }
  const resumed = cli.events.filter((event) => event.type === 'resumed');
  const lost = resumed.reduce((sum, event) => sum + event.lost, 0);
  const name = `refused for 5/6 of the window, ${rounds} times`;
  expect(atMost(name, 'connections lost', lost, 0)).toBe(true);
  expect(resumed.length).toBe(rounds);
});

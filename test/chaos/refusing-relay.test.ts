// A relay that is away for nearly as long as streams are kept, again and again: the waiting streams survive.
import {expect} from 'vitest';
import {atMost} from '../helpers/metric.js';
import {test} from '../helpers/test.js';
import {echoUpstream, record} from '../helpers/upstreams.js';
import {tcpVisitor} from '../helpers/visitors.js';
import {sized, sleep, startRig} from './rig.js';

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

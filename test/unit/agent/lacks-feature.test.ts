// What a tunnel needs of its relay, and the relay does not announce.

import {expect, test} from 'vitest';
import {Agent} from '../../../src/lib/agent/agent.js';
import {createLogger} from '../../../src/lib/core/logger.js';
import {BlockPool} from '../../../src/lib/mux/blocks.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {ScriptedRelay} from '../../helpers/scripted-relay.js';

const WISH = {kind: 'tls', h2: false, name: 'demo', cidr: {allow: ['192.0.2.7']}} as const;

async function linked(features: readonly string[]) {
  const clock = new ManualClock();
  const relay = new ScriptedRelay(clock);
  relay.features = features;
  const heard: string[] = [];
  const agent = new Agent({
    software: 'agent',
    pool: new BlockPool(),
    log: createLogger('test', undefined),
    clock,
    dial: relay.dial,
    events: {
      onReconnecting: ({state, error}) => heard.push(`${state} ${error.code}`),
      onResumed: () => heard.push('resumed'),
      onNotice: () => {},
      onEnded: () => {},
    },
  });
  await agent.start();
  const owner = {onVisitor: () => {}, onLost: () => heard.push('lost')};
  const until = async (holds: () => boolean) => {
    for (let i = 0; i < 240 && !holds(); i += 1) {
      for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      clock.advance(250);
    }
  };
  return {agent, relay, heard, owner, until};
}

test('rules for addresses at a relay that ignores them: no bind is sent', async () => {
  const {agent, relay, owner} = await linked([]);
  await expect(agent.bind(WISH, owner)).rejects.toMatchObject({code: 'RELAY_LACKS_FEATURE', exitCode: 7});
  expect(relay.asked).toEqual([]);
  const {cidr: _, ...open} = WISH;
  await agent.bind(open, owner);
  expect(() => agent.restrict(owner, {deny: ['::1']})).toThrow(
    expect.objectContaining({code: 'RELAY_LACKS_FEATURE'}),
  );
  agent.close();
});

test('rules go with the bind, with each later one, and change while the tunnel is live', async () => {
  const {agent, relay, owner, until} = await linked(['cidr']);
  await agent.bind(WISH, owner);
  agent.restrict(owner, {deny: ['192.0.2.8']});
  await until(() => relay.asked.length === 2);
  relay.session?.close('RELAY_LOST', 'told so');
  await until(() => relay.asked.length === 3);
  expect(relay.asked).toMatchObject([
    {type: 'bind', wish: WISH},
    {type: 'restrict', tunnel: 1, cidr: {deny: ['192.0.2.8']}},
    {type: 'bind', wish: {...WISH, cidr: {deny: ['192.0.2.8']}}},
  ]);
  agent.close();
});

test('rules that change while a bind is under way follow its answer, at the first bind and at a later one', async () => {
  const {agent, relay, owner, until} = await linked(['cidr']);
  const next = ['192.0.2.8', '192.0.2.9'];
  // The agent has not read the answer yet.
  relay.onBound = () => agent.restrict(owner, {deny: [String(next.shift())]});
  await agent.bind(WISH, owner);
  await until(() => relay.asked.length === 2);
  relay.session?.close('RELAY_LOST', 'told so');
  await until(() => relay.asked.length === 4);
  expect(relay.asked).toMatchObject([
    {type: 'bind', wish: WISH},
    {type: 'restrict', tunnel: 1, cidr: {deny: ['192.0.2.8']}},
    {type: 'bind', wish: {...WISH, cidr: {deny: ['192.0.2.8']}}},
    {type: 'restrict', tunnel: 1, cidr: {deny: ['192.0.2.9']}},
  ]);
  agent.close();
});

test('a relay that has become older: the tunnel stays away, and comes back with the feature', async () => {
  const {agent, relay, heard, owner, until} = await linked(['cidr']);
  await agent.bind(WISH, owner);
  relay.features = [];
  relay.session?.close('RELAY_LOST', 'told so');
  await until(() => heard.includes('refused RELAY_LACKS_FEATURE'));
  expect(relay.asked).toHaveLength(1);
  relay.features = ['cidr'];
  relay.session?.close('RELAY_LOST', 'told so');
  await until(() => relay.bound === 2);
  expect([relay.bound, heard.includes('lost')]).toEqual([2, false]);
  agent.close();
});

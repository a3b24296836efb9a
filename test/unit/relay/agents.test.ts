// What a relay tells an agent about its binds, seen from bytes.

import {expect, test} from 'vitest';
import {startRelay} from '../../../src/lib/relay/start.js';
import {frame, frameBytes, RawAgent} from '../../helpers/raw-agent.js';
import {Scope} from '../../helpers/scope.js';

const token = 'a-token-of-16-or-more';

async function setUp(scope: Scope) {
  const stateDir = await scope.tempDir('relay');
  const relay = scope.own(await startRelay({domain: 'r1.localhost', token, tcpPorts: [0, 0], stateDir}));
  const at = {port: relay.address.port, domain: relay.domain, caFile: relay.caFile as string, token};
  const {agent} = await RawAgent.begin(scope, at);
  return {relay, agent};
}

const bind = (request: number, wish: object, more: object = {}) =>
  frameBytes(frame.control, 0, JSON.stringify({type: 'bind', request, wish, ...more}));

/** The control messages that came, once there are so many. */
async function heard(agent: RawAgent, count: number) {
  const controls = () => agent.frames.filter((each) => each.type === frame.control);
  await agent.until(() => controls().length >= count);
  return controls().map(({payload}) => JSON.parse(payload.toString()) as Record<string, unknown>);
}

test.each([
  ['a name', {kind: 'tls', name: 'demo'}],
  ['a port', {kind: 'tcp', port: 23_456}],
])('who binds %s twice at once has it once, and is told so', async (_what, wish) => {
  await using scope = new Scope();
  const {relay, agent} = await setUp(scope);
  agent.segment(bind(1, wish), bind(2, wish));
  const words = await heard(agent, 2);
  expect(words.find(({type}) => type === 'bind-refused')).toMatchObject({request: 1, code: 'TAKEN_OVER'});
  expect(words.find(({type}) => type === 'bound')).toMatchObject({request: 2, epoch: 2});
  expect(relay.stats().tunnels).toBe(1);
});

// What a relay tells an agent about its binds, seen from bytes.

import {generateKeyPairSync} from 'node:crypto';
import {connect} from 'node:net';
import {expect, test} from 'vitest';
import type {RelayOptions} from '../../../../src/lib/relay/options.js';
import {startRelay} from '../../../../src/lib/relay/start.js';
import {frame, frameBytes, RawAgent, type RawAgentOptions} from '../../../helpers/raw-agent.js';
import {Scope} from '../../../helpers/scope.js';

const token = 'a-token-of-16-or-more';

async function setUp(scope: Scope, options: RelayOptions = {}) {
  const stateDir = await scope.tempDir('relay');
  const waiting = new Map<string, () => void>();
  const relay = scope.own(
    await startRelay({
      domain: 'r1.localhost',
      token,
      tcpPorts: [0, 0],
      stateDir,
      log: ({message}) => waiting.get(message)?.(),
      ...options,
    }),
  );
  const {caFile = ''} = relay;
  const at: RawAgentOptions = {port: relay.address.port, domain: relay.domain, caFile, token};
  /** Resolves when the relay says so to its log. */
  const said = (message: string) => new Promise<void>((resolve) => waiting.set(message, resolve));
  return {relay, at, said};
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
  const {relay, at} = await setUp(scope);
  const {agent} = await RawAgent.begin(scope, at);
  agent.segment(bind(1, wish), bind(2, wish));
  const words = await heard(agent, 2);
  expect(words.find(({type}) => type === 'bind-refused')).toMatchObject({request: 1, code: 'TAKEN_OVER'});
  expect(words.find(({type}) => type === 'bound')).toMatchObject({request: 2, epoch: 2});
  expect(relay.stats().tunnels).toBe(1);
});

test('a burst of binds cannot pass the limit of tunnels', async () => {
  await using scope = new Scope();
  const {relay, at} = await setUp(scope, {maxTunnelsPerAgent: 2});
  const {agent} = await RawAgent.begin(scope, at);
  agent.segment(...[1, 2, 3, 4, 5].map((request) => bind(request, {kind: 'tls'})));
  const words = await heard(agent, 5);
  expect(words.map(({type, code}) => [type, code]).sort()).toEqual([
    ['bind-refused', 'TOO_MANY_TUNNELS'],
    ['bind-refused', 'TOO_MANY_TUNNELS'],
    ['bind-refused', 'TOO_MANY_TUNNELS'],
    ['bound', undefined],
    ['bound', undefined],
  ]);
  expect(relay.stats().tunnels).toBe(2);
});

test('a session is its owner’s: the right proof under another key finds none', async () => {
  await using scope = new Scope();
  const {relay, at} = await setUp(scope, {token: ''});
  const keyOf = () => generateKeyPairSync('ed25519').privateKey;
  const mine = {...at, key: keyOf()};
  const {agent, ticket} = await RawAgent.begin(scope, mine);
  const next = {...ticket, epoch: ticket.epoch + 1};
  const thief = await RawAgent.connect(scope, {...at, key: keyOf()});
  await thief.resume(next, agent.received);
  expect(await thief.answer()).toBe('SESSION_UNKNOWN');
  const nobody = await RawAgent.connect(scope, at);
  await nobody.resume(next, agent.received);
  expect(await nobody.answer()).toBe('TOKEN_WRONG');
  const owner = await RawAgent.connect(scope, mine);
  await owner.resume(next, agent.received);
  expect(await owner.answer()).toBe('welcome');
  expect(relay.stats().agents).toBe(1);
});

test('of the visitors who come while the link is away 256 wait, and the others are reset', async () => {
  await using scope = new Scope();
  const {relay, at, said} = await setUp(scope);
  const {agent} = await RawAgent.begin(scope, at);
  const port = await agent.bindTcp();
  const lost = said('link lost');
  agent.socket.terminate();
  await lost;
  let reset = 0;
  await new Promise<void>((resolve) => {
    for (let i = 0; i < 300; i += 1) {
      const visitor = connect(port, '127.0.0.1');
      scope.onEnd(() => void visitor.destroy());
      visitor.once('error', () => {
        reset += 1;
        if (reset === 300 - 256) resolve();
      });
    }
  });
  expect(relay.stats().visitors).toBe(256);
});

test('of the agents with one token one that binds all it can keeps no other from its share', async () => {
  await using scope = new Scope();
  const {at} = await setUp(scope, {maxLeasesPerOwner: 6});
  const greedy = (await RawAgent.begin(scope, at)).agent;
  greedy.segment(...Array.from({length: 8}, (_, i) => bind(i + 1, {kind: 'tls'})));
  const words = await heard(greedy, 8);
  expect(words.filter(({type}) => type === 'bound')).toHaveLength(6);
  expect(words.filter(({code}) => code === 'TOO_MANY_TUNNELS')).toHaveLength(2);
  const modest = (await RawAgent.begin(scope, at)).agent;
  modest.segment(...Array.from({length: 5}, (_, i) => bind(i + 1, {kind: 'tls'})));
  const own = await heard(modest, 5);
  expect(own.filter(({type}) => type === 'bound')).toHaveLength(3);
  expect(own.filter(({code}) => code === 'TOO_MANY_TUNNELS')).toHaveLength(2);
});

test('a session that binds without end is told to wait; what an agent may have it may have at once', async () => {
  await using scope = new Scope();
  const {relay, at} = await setUp(scope);
  const {agent} = await RawAgent.begin(scope, at);
  const wish = {kind: 'tls', h2: false, name: 'demo'};
  agent.segment(...Array.from({length: 400}, (_, i) => bind(i + 1, wish)));
  // Each that is granted takes the tunnel from the one before.
  const answers = async () => (await heard(agent, 400)).filter(({type}) => type !== 'unbound');
  await expect.poll(async () => (await answers()).length).toBe(400);
  const words = await answers();
  const busy = words.filter(({code}) => code === 'RELAY_BUSY');
  expect(busy.length).toBeGreaterThan(100);
  expect(busy[0]?.message).toMatch(/next in \d+ s/);
  expect(words.filter(({code}) => code !== 'RELAY_BUSY').length).toBeGreaterThanOrEqual(200);
  expect(relay.stats().tunnels).toBe(1);
  // Other sessions have a measure of their own.
  const other = (await RawAgent.begin(scope, at)).agent;
  other.segment(...Array.from({length: 100}, (_, i) => bind(i + 1, {kind: 'tls', h2: false})));
  expect((await heard(other, 100)).every(({type}) => type === 'bound')).toBe(true);
});

test('a tunnel that its agent gives up makes room for another, and its name stays its owner’s', async () => {
  await using scope = new Scope();
  const {relay, at} = await setUp(scope, {maxTunnelsPerAgent: 1});
  const {agent} = await RawAgent.begin(scope, at);
  for (let turn = 1; turn <= 20; turn += 1) {
    agent.segment(bind(turn, {kind: 'tls', name: 'demo'}));
    const {type, tunnel} = (await heard(agent, turn)).at(-1) ?? {};
    expect(type).toBe('bound');
    agent.segment(frameBytes(frame.control, 0, JSON.stringify({type: 'unbind', tunnel})));
  }
  await expect.poll(() => relay.stats().tunnels).toBe(0);
});

// The relay's answers to an agent's binds, in bytes.

import {generateKeyPairSync} from 'node:crypto';
import {connect} from 'node:net';
import {setImmediate} from 'node:timers/promises';
import {expect, test} from 'vitest';
import type {RelayOptions} from '../../../../src/lib/relay/options.js';
import {openRelay} from '../../../../src/lib/relay/relay.js';
import {settleRelayOptions} from '../../../../src/lib/relay/settings.js';
import {frame, frameBytes, RawAgent, type RawAgentOptions} from '../../../helpers/raw-agent.js';
import {RelayEar} from '../../../helpers/relay-events.js';
import {Scope} from '../../../helpers/scope.js';

const token = 'a-token-of-16-or-more';

async function setUp(scope: Scope, options: RelayOptions = {}) {
  const stateDir = await scope.tempDir('relay');
  const ear = new RelayEar();
  const settings = await settleRelayOptions({
    domain: 'r1.localhost',
    token,
    tcpPorts: [0, 0],
    stateDir,
    ...options,
  });
  const relay = scope.own(await openRelay(settings, {listeners: [ear.listen]}));
  const {caFile = ''} = relay;
  const at: RawAgentOptions = {port: relay.address.port, domain: relay.domain, caFile, token};
  return {relay, at, ear};
}

const bind = (request: number, wish: object, more: object = {}) =>
  frameBytes(frame.control, 0, JSON.stringify({type: 'bind', request, wish, ...more}));

/** The control messages that have arrived. */
const controls = (agent: RawAgent) =>
  agent.frames
    .filter(({type}) => type === frame.control)
    .map(({payload}) => JSON.parse(payload.toString()) as Record<string, unknown>);

/** The control messages, when `count` have arrived. */
async function heard(agent: RawAgent, count: number) {
  await agent.until(() => controls(agent).length >= count);
  return controls(agent);
}

test.each([
  ['a name', {kind: 'tls', name: 'demo'}],
  ['a port', {kind: 'tcp', port: 23_456}],
])(
  'an agent that binds %s twice at the same time gets it once, and an error for the other bind',
  async (_what, wish) => {
    await using scope = new Scope();
    const {relay, at} = await setUp(scope);
    const {agent} = await RawAgent.begin(scope, at);
    agent.segment(bind(1, wish), bind(2, wish));
    const words = await heard(agent, 2);
    expect(words.find(({type}) => type === 'bind-refused')).toMatchObject({request: 1, code: 'TAKEN_OVER'});
    expect(words.find(({type}) => type === 'bound')).toMatchObject({request: 2, epoch: 2});
    expect(relay.stats().tunnels).toBe(1);
  },
);

test('a burst of binds cannot exceed the limit of tunnels', async () => {
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

test('a session belongs to its owner: a valid proof under another key is refused', async () => {
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

test('of the visitors that arrive while the link is lost 256 wait, and the others are reset', async () => {
  await using scope = new Scope();
  const {relay, at, ear} = await setUp(scope);
  const {agent} = await RawAgent.begin(scope, at);
  const port = await agent.bindTcp();
  agent.socket.terminate();
  await ear.heard('agent-away');
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

test('sessions whose agents have vanished together expire a few in each turn of the event loop', async () => {
  await using scope = new Scope();
  const {at, ear} = await setUp(scope, {resumeWindowMs: 20});
  const agents = 12;
  const begun = [];
  for (let i = 0; i < agents; i += 1) begun.push((await RawAgent.begin(scope, at)).agent);
  for (const {socket} of begun) socket.terminate();
  await ear.heard('agent-away', agents);
  // This process stands still until all of them are due.
  const until = performance.now() + 50;
  while (performance.now() < until);
  const inTurns: number[] = [];
  for (let gone = 0; gone < agents; gone += inTurns.at(-1) ?? 0) {
    await setImmediate();
    inTurns.push(ear.all('agent-gone').length - gone);
  }
  expect(Math.max(...inTurns)).toBeLessThanOrEqual(4);
});

test('an agent that binds as many tunnels as it can leaves a share for others with the same token', async () => {
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

test('a session that binds continuously must wait; it may bind its limit of tunnels at once', async () => {
  await using scope = new Scope();
  const {relay, at} = await setUp(scope);
  const {agent} = await RawAgent.begin(scope, at);
  const wish = {kind: 'tls', h2: false, name: 'demo'};
  agent.segment(...Array.from({length: 400}, (_, i) => bind(i + 1, wish)));
  // Each granted bind takes the tunnel from the one before.
  const answers = () => controls(agent).filter(({type}) => type !== 'unbound');
  await agent.until(() => answers().length === 400);
  const words = answers();
  const busy = words.filter(({code}) => code === 'RELAY_BUSY');
  expect(busy.length).toBeGreaterThan(100);
  expect(busy[0]?.message).toMatch(/next in \d+ s/);
  expect(words.filter(({code}) => code !== 'RELAY_BUSY').length).toBeGreaterThanOrEqual(200);
  expect(relay.stats().tunnels).toBe(1);
  // Other sessions have a separate limit.
  const other = (await RawAgent.begin(scope, at)).agent;
  other.segment(...Array.from({length: 100}, (_, i) => bind(i + 1, {kind: 'tls', h2: false})));
  expect((await heard(other, 100)).every(({type}) => type === 'bound')).toBe(true);
});

test('a tunnel that its agent releases makes room for another, and its name stays with its owner', async () => {
  await using scope = new Scope();
  const {at, ear} = await setUp(scope, {maxTunnelsPerAgent: 1});
  const {agent} = await RawAgent.begin(scope, at);
  for (let turn = 1; turn <= 20; turn += 1) {
    agent.segment(bind(turn, {kind: 'tls', name: 'demo'}));
    const {type, tunnel} = (await heard(agent, turn)).at(-1) ?? {};
    expect(type).toBe('bound');
    agent.segment(frameBytes(frame.control, 0, JSON.stringify({type: 'unbind', tunnel})));
  }
  await ear.heard('tunnel-released', 20);
});

test('a listener of a relay gets the events of its agents and tunnels in order', async () => {
  await using scope = new Scope();
  const {relay, at, ear} = await setUp(scope);
  const {agent, ticket} = await RawAgent.begin(scope, at);
  const wish = {kind: 'tls', name: 'demo'};
  agent.segment(bind(1, wish));
  await heard(agent, 1);
  agent.segment(bind(2, {kind: 'tcp', port: 1}));
  await heard(agent, 2);
  const other = (await RawAgent.begin(scope, at)).agent;
  other.segment(bind(1, wish));
  await heard(agent, 3);
  agent.socket.terminate();
  await ear.heard('agent-away');
  const again = await RawAgent.connect(scope, at);
  await again.resume({...ticket, epoch: ticket.epoch + 1}, agent.received);
  await ear.heard('agent-resumed');
  await relay.close();
  const [mine, theirs] = ear.all('agent-connected').map(({session}) => session);
  expect(mine).toBe(ticket.id.slice(0, 8));
  const key = 'tls:demo';
  expect(ear.events.map(({type, ...fields}) => [type, fields])).toEqual([
    ['agent-connected', expect.objectContaining({session: mine, owner: expect.stringMatching(/^token:/)})],
    ['tunnel-bound', expect.objectContaining({session: mine, key, epoch: 1, takeover: false})],
    ['bind-refused', expect.objectContaining({session: mine, code: 'PORT_NOT_OFFERED', wish: 'tcp:1'})],
    ['agent-connected', expect.objectContaining({session: theirs})],
    ['tunnel-bound', expect.objectContaining({session: theirs, key, epoch: 2, takeover: true})],
    ['tunnel-lost', {session: mine, key, epoch: 1}],
    ['agent-away', expect.objectContaining({session: mine})],
    ['agent-resumed', {session: mine, epoch: ticket.epoch + 1}],
    ['agent-gone', {session: mine, code: undefined}],
    ['tunnel-released', {session: theirs, key, epoch: 2}],
    ['agent-gone', {session: theirs, code: undefined}],
  ]);
  expect(JSON.stringify(ear.events)).not.toContain(token);
});

test('a session resumes by its own proof, without the token', async () => {
  await using scope = new Scope();
  const {relay, at, ear} = await setUp(scope);
  const {agent, ticket} = await RawAgent.begin(scope, at);
  expect((await agent.message('challenge')).features).toContain('tickets');
  agent.socket.terminate();
  await ear.heard('agent-away');
  const named = {...at, session: ticket.id};
  const next = {...ticket, epoch: ticket.epoch + 1};
  const received = agent.received;

  const forger = await RawAgent.connect(scope, named);
  await forger.resume({...next, secret: '00'.repeat(32)}, received);
  expect(await forger.answer()).toBe('SESSION_PROOF');
  const beginner = await RawAgent.connect(scope, named);
  await beginner.hello();
  expect(await beginner.answer()).toBe('SESSION_UNKNOWN');
  const other = await RawAgent.connect(scope, named);
  await other.resume({...next, id: 'f'.repeat(32)}, received);
  expect(await other.answer()).toBe('SESSION_UNKNOWN');
  for (const session of ['f'.repeat(32), '', ticket.id.toUpperCase(), '__proto__'])
    await expect(RawAgent.connect(scope, {...at, session})).rejects.toThrow('401');

  const owner = await RawAgent.connect(scope, named);
  await owner.resume({...next, epoch: ticket.epoch + 1}, received);
  expect(await owner.answer()).toBe('welcome');
  expect(relay.stats().agents).toBe(1);
});

test('an agent that says hello while the relay shuts down does not stay', async () => {
  await using scope = new Scope();
  const {relay, at, ear} = await setUp(scope);
  const {agent, ticket} = await RawAgent.begin(scope, at);
  const port = await agent.bindTcp();
  const visitor = connect(port, '127.0.0.1');
  scope.onEnd(() => void visitor.destroy());
  await agent.frame(({type}) => type === frame.open);
  // Their connections have come through the door already.
  const beginner = await RawAgent.connect(scope, at);
  const owner = await RawAgent.connect(scope, at);
  const over = relay.close({drainTimeoutMs: 60_000});
  await agent.message('goaway');
  await beginner.hello();
  expect(await beginner.answer()).toBe('RELAY_BUSY');
  agent.socket.terminate();
  await ear.heard('agent-away');
  await owner.resume({...ticket, epoch: ticket.epoch + 1}, agent.received);
  expect(await owner.answer()).toBe('welcome');
  expect(await owner.message('goaway')).toMatchObject({message: 'The relay is shutting down.'});
  visitor.resetAndDestroy();
  await over;
});

test('an owner has a limited number of sessions at once; one whose link is lost counts, and resumes', async () => {
  await using scope = new Scope();
  const {relay, at, ear} = await setUp(scope, {maxSessionsPerOwner: 2});
  const {agent, ticket} = await RawAgent.begin(scope, at);
  const second = (await RawAgent.begin(scope, at)).agent;
  agent.socket.terminate();
  await ear.heard('agent-away');
  const third = await RawAgent.connect(scope, at);
  await third.hello();
  expect(await third.lastWord()).toBe('RELAY_BUSY');
  const again = await RawAgent.connect(scope, at);
  await again.resume({...ticket, epoch: ticket.epoch + 1}, agent.received);
  expect(await again.answer()).toBe('welcome');
  second.say({type: 'close', code: 'CLOSED', message: ''});
  await ear.heard('agent-gone');
  await RawAgent.begin(scope, at);
  expect(relay.stats().agents).toBe(2);
});

// Scopes × kinds of bind and stream × tokens that are right, wrong, expired, revoked, replaced, or changed while they are in
// use. Figure 22: what is taken away ends in live sessions within 5 s.

import {rm} from 'node:fs/promises';
import {connect} from 'node:net';
import {join} from 'node:path';
import {performance} from 'node:perf_hooks';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {type MadeToken, TokenCommands} from '../../../../src/lib/relay/access/token-commands.js';
import type {RunningRelay} from '../../../../src/lib/relay/running-relay.js';
import {startRunningRelay} from '../../../../src/lib/relay/start.js';
import {upgradeWith} from '../../../helpers/agent-upgrade.js';
import {atMost} from '../../../helpers/metric.js';
import {frame, frameBytes, type Message, RawAgent} from '../../../helpers/raw-agent.js';
import {RelayEar} from '../../../helpers/relay-events.js';
import {Scope} from '../../../helpers/scope.js';

const WITHIN_MS = 5_000;
const KIND_SERVICE = 6;
/** In a wish: a name that the relay has drawn before. */
const DRAWN = 'drawn';
/** It looks like a random name. */
const CHOSEN = 'mybankofamericaloginportal';
/** A few ports that nothing else in the tests uses; the relay offers all. */
const [PORT, OTHER_PORT] = [23_801, 23_802];

interface World {
  scope: Scope;
  stateDir: string;
  workers: number;
  relay: RunningRelay;
  tokens: TokenCommands;
  ear: RelayEar;
}

async function open(workers: number): Promise<World> {
  const scope = new Scope();
  const stateDir = await scope.tempDir('relay');
  const tokens = new TokenCommands(stateDir);
  const ear = new RelayEar();
  // The registry exists before the relay, so that it asks for tokens.
  await tokens.create({name: 'first', scopes: []});
  const world = {scope, stateDir, workers, tokens, ear};
  return {...world, relay: await start(world)};
}

async function start({scope, stateDir, workers, ear}: Omit<World, 'relay'>): Promise<RunningRelay> {
  const options = {
    domain: 'r1.localhost',
    token: '',
    trustedSources: ['127.0.0.1'],
    tcpPorts: [0, 0] as const,
    stateDir,
    workers,
  };
  return scope.own(await startRunningRelay(options, {listeners: [ear.listen]}));
}

let names = 0;
/** New tokens, each of an owner of its own. */
async function make<const T extends readonly (readonly string[])[]>(
  {tokens}: World,
  scopes: T,
  owners: readonly string[] = [],
): Promise<{[key in keyof T]: MadeToken}> {
  const made: MadeToken[] = [];
  for (const [at, each] of scopes.entries()) {
    names += 1;
    made.push(await tokens.create({name: `t${names}`, owner: owners[at], scopes: each}));
  }
  return made as unknown as {[key in keyof T]: MadeToken};
}

/** 101, or the code with which the relay refuses an agent's upgrade. */
async function login(relay: RunningRelay, token: string): Promise<string> {
  const {status, code} = await upgradeWith(relay, token);
  return code ?? String(status);
}

/** Resolves when the relay has read the file with this token. */
async function known(relay: RunningRelay, token: string, wanted = '101'): Promise<void> {
  for (;;) {
    if ((await login(relay, token)) === wanted) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function begin({scope, relay}: World, token: string): Promise<RawAgent> {
  const {address, domain, caFile = ''} = relay;
  return (await RawAgent.begin(scope, {port: address.port, domain, caFile, token})).agent;
}

const bound = async (agent: RawAgent, wish: object, request = 1): Promise<Message> => {
  agent.bind(wish, request);
  const answers = ['bound', 'bind-refused'];
  await agent.until(() =>
    answers.some((type) => agent.controlMessages(type).some((each) => each.request === request)),
  );
  return answers
    .flatMap((type) => agent.controlMessages(type))
    .find((each) => each.request === request) as Message;
};
const outcome = ({type, code}: Message) => (type === 'bound' ? 'bound' : String(code));

const nameOf = ({host}: Message) => String(host).split('.')[0] ?? '';

const unbind = (agent: RawAgent, {tunnel}: Message) =>
  agent.segment(frameBytes(frame.control, 0, JSON.stringify({type: 'unbind', tunnel})));

/** Lets the relay draw a name, and gives it back. */
async function draw(agent: RawAgent): Promise<string> {
  const answer = await bound(agent, {kind: 'tls'}, 99);
  unbind(agent, answer);
  return nameOf(answer);
}

const withDrawn = (wish: object, name: string): object =>
  Object.fromEntries(Object.entries(wish).map(([key, value]) => [key, value === DRAWN ? name : value]));

/** Opens a stream of kind `service`, and returns `opened` or the code of the refusal. */
async function opened(agent: RawAgent, service: string, stream: number): Promise<string> {
  const about = Buffer.from(JSON.stringify({service}));
  agent.segment(frameBytes(frame.open, stream, Buffer.concat([Buffer.from([KIND_SERVICE]), about])));
  const answer = await agent.frame(
    (each) => each.stream === stream && (each.type === frame.opened || each.type === frame.refused),
  );
  return answer.type === frame.opened
    ? 'opened'
    : String((JSON.parse(String(answer.payload)) as Message).code);
}

const BINDS = {
  'a name': {
    wish: {kind: 'tls', name: 'demo'},
    scope: 'name:demo',
    wrong: ['name:demo2', 'name:@random', 'tcp:*'],
  },
  'a name of a pattern': {
    wish: {kind: 'tls', name: 'ana-1'},
    scope: 'name:ana-*',
    wrong: ['name:an', 'name:bo-*'],
  },
  'a random name': {wish: {kind: 'tls'}, scope: 'name:@random', wrong: ['name:demo', 'name:a*', 'tcp:*']},
  'a random name, by the right to all': {wish: {kind: 'tls'}, scope: 'name:*', wrong: ['domain:*']},
  'its random name again': {wish: {kind: 'tls', name: DRAWN}, scope: 'name:@random', wrong: ['name:demo']},
  'a preferred name': {wish: {kind: 'tls', prefer: DRAWN}, scope: 'name:@random', wrong: ['name:demo']},
  'a port': {wish: {kind: 'tcp', port: PORT}, scope: `tcp:${PORT}`, wrong: [`tcp:${OTHER_PORT}`, 'name:*']},
  'a port of a range': {
    wish: {kind: 'tcp', port: PORT},
    scope: 'tcp:23800-23899',
    wrong: ['tcp:23700-23800'],
  },
  'any port': {wish: {kind: 'tcp'}, scope: 'tcp:23800-23899', wrong: ['name:*', 'net:*']},
  'any port, by the right to all': {wish: {kind: 'tcp'}, scope: 'tcp:*', wrong: ['egress:*']},
  'a preferred port': {wish: {kind: 'tcp', prefer: PORT}, scope: `tcp:${PORT}`, wrong: ['name:*']},
} as const;

describe('at a relay', () => {
  let world: World;
  /** For each bind: with the right scope, with each wrong one, with none, and with all of them. */
  const made = new Map<string, MadeToken[]>();
  let drawn = '';
  beforeAll(async () => {
    world = await open(1);
    const rows = Object.entries(BINDS).map(([what, {scope, wrong}]) => ({
      what,
      scopes: [[scope], ...wrong.map((each) => [each]), [], [...wrong, scope]],
    }));
    const all = rows.flatMap(({scopes}) => scopes);
    // One owner, so that all may have the names.
    const tokens = await make(
      world,
      all,
      all.map(() => 'matrix'),
    );
    for (const {what, scopes} of rows) made.set(what, tokens.splice(0, scopes.length));
    const [{token}] = await make(world, [['name:@random']], ['matrix']);
    drawn = await draw(await begin(world, token));
    await world.ear.heard('tunnel-released', 1);
  });
  afterAll(async () => await world.scope[Symbol.asyncDispose]());

  describe.each(Object.entries(BINDS))('a bind of %s', (what, {wish, scope, wrong}) => {
    test('is granted to the right scope alone', async () => {
      const results: string[] = [];
      for (const {token} of made.get(what) ?? []) {
        const agent = await begin(world, token);
        const answer = await bound(agent, withDrawn(wish, drawn));
        if (wish.kind === 'tls' && 'prefer' in wish && answer.type === 'bound')
          expect(nameOf(answer)).toBe(drawn);
        results.push(outcome(answer));
        if ('port' in wish && answer.type === 'bound') expect(answer.port).toBe(PORT);
        if (wish.kind === 'tcp' && answer.type === 'bound' && scope !== 'tcp:*')
          expect(answer.port).toSatisfy((port: number) => port >= 23_800 && port <= 23_899);
        if (answer.type === 'bound') {
          const released = world.ear.all('tunnel-released').length;
          unbind(agent, answer);
          await world.ear.heard('tunnel-released', released + 1);
        }
        agent.socket.terminate();
      }
      expect(results).toEqual(['bound', ...wrong.map(() => 'NOT_ALLOWED'), 'NOT_ALLOWED', 'bound']);
    });
  });

  test.each(['relay', 'echo'])('a stream to the service %s needs a token with any right', async (service) => {
    const [some, none] = await make(world, [['name:x'], []]);
    expect(await opened(await begin(world, some.token), service, 2)).toBe('opened');
    expect(await opened(await begin(world, none.token), service, 2)).toBe('NOT_ALLOWED');
  });

  test('a refused bind is told with its owner and token, and without secrets', async () => {
    const [{token, record}] = await make(world, [['name:x']], ['ana']);
    await bound(await begin(world, token), {kind: 'tls', name: 'y'});
    expect(world.ear.all('bind-refused').at(-1)).toMatchObject({
      ...{code: 'NOT_ALLOWED', owner: 'ana', tokenId: record.id, wish: 'tls:y'},
    });
    expect(JSON.stringify(world.ear.events)).not.toContain(token);
  });

  test('the tokens of one owner share its names; another owner does not get them', async () => {
    const [one, two, other, narrow] = await make(
      world,
      [['name:*'], ['name:shared'], ['name:*'], ['name:else']],
      ['bo', 'bo', 'cleo', 'bo'],
    );
    const first = await begin(world, one.token);
    expect(outcome(await bound(first, {kind: 'tls', name: 'shared'}))).toBe('bound');
    const foreign = await begin(world, other.token);
    expect(outcome(await bound(foreign, {kind: 'tls', name: 'shared'}))).toBe('NAME_TAKEN');
    // Without the right to it, not even its owner's other agent loses it.
    const without = await begin(world, narrow.token);
    expect(outcome(await bound(without, {kind: 'tls', name: 'shared'}))).toBe('NOT_ALLOWED');
    expect(first.controlMessages('unbound')).toEqual([]);
    expect(world.ear.all('tunnel-lost')).toEqual([]);
    const second = await begin(world, two.token);
    expect(outcome(await bound(second, {kind: 'tls', name: 'shared'}))).toBe('bound');
    await first.controlMessage('unbound', ({code}) => code === 'TAKEN_OVER');
  });

  test('a reserved name ends when its own scope is taken away, also when all names are left', async () => {
    const [one, two] = await make(world, [['name:www'], ['name:www1', 'name:*']]);
    const [agent, other] = [await begin(world, one.token), await begin(world, two.token)];
    expect(outcome(await bound(agent, {kind: 'tls', name: 'www'}))).toBe('bound');
    expect(outcome(await bound(other, {kind: 'tls', name: 'www1'}))).toBe('bound');
    expect(outcome(await bound(other, {kind: 'tls', name: 'plain'}, 2))).toBe('bound');
    // What is still covered stays.
    await world.tokens.set(two.record.id, {scopes: ['name:www1', 'name:pl*']});
    await world.tokens.set(one.record.id, {scopes: ['name:*']});
    await agent.controlMessage('unbound', ({code}) => code === 'NOT_ALLOWED');
    expect(outcome(await bound(agent, {kind: 'tls', name: 'www'}, 2))).toBe('NAME_RESERVED');
    expect(other.controlMessages('unbound')).toEqual([]);
    await world.tokens.set(two.record.id, {scopes: ['name:*']});
    const {tunnel} = await other.controlMessage('unbound', ({code}) => code === 'NOT_ALLOWED');
    expect(other.controlMessages('bound').find((each) => each.tunnel === tunnel)?.request).toBe(1);
    expect(other.controlMessages('unbound')).toHaveLength(1);
  });

  test('a chosen name is not a random one, however it looks', async () => {
    const [{token, record}] = await make(world, [[`name:${CHOSEN}`]]);
    const agent = await begin(world, token);
    expect(outcome(await bound(agent, {kind: 'tls', name: CHOSEN}))).toBe('bound');
    await world.tokens.set(record.id, {scopes: ['name:@random']});
    await agent.controlMessage('unbound', ({code}) => code === 'NOT_ALLOWED');
    expect(outcome(await bound(agent, {kind: 'tls', name: CHOSEN}, 2))).toBe('NOT_ALLOWED');
    const other = await bound(agent, {kind: 'tls', prefer: CHOSEN}, 3);
    expect([outcome(other), nameOf(other)]).toEqual(['bound', expect.not.stringMatching(CHOSEN)]);
  });

  test('a token that was replaced keeps the names of its owner', async () => {
    const [{token, record}, other] = await make(world, [['name:kept'], ['name:kept']], ['dee', 'eve']);
    const before = await begin(world, token);
    expect(outcome(await bound(before, {kind: 'tls', name: 'kept'}))).toBe('bound');
    const next = await world.tokens.rotate(record.id);
    expect(await before.lastWord()).toBe('TOKEN_REVOKED');
    expect(await login(world.relay, token)).toBe('TOKEN_REVOKED');
    expect(outcome(await bound(await begin(world, next.token), {kind: 'tls', name: 'kept'}))).toBe('bound');
    expect(outcome(await bound(await begin(world, other.token), {kind: 'tls', name: 'kept'}))).toBe(
      'NAME_TAKEN',
    );
  });

  test('a token that ends between the upgrade and the hello begins no session', async () => {
    const [{token, record}] = await make(world, [['name:late']]);
    const {address, domain, caFile = ''} = world.relay;
    const late = await RawAgent.connect(world.scope, {port: address.port, domain, caFile, token});
    await world.tokens.revoke(record.id);
    await known(world.relay, token, 'TOKEN_REVOKED');
    await late.hello();
    expect(await late.answer()).toBe('TOKEN_REVOKED');
  });

  test('a token that ends while it waits for its link is refused when it comes back', async () => {
    const [{token, record}] = await make(world, [['name:away']]);
    const {address, domain, caFile = ''} = world.relay;
    const at = {port: address.port, domain, caFile, token};
    const {agent, ticket} = await RawAgent.begin(world.scope, at);
    expect(outcome(await bound(agent, {kind: 'tls', name: 'away'}))).toBe('bound');
    agent.socket.terminate();
    await world.tokens.revoke(record.id);
    await known(world.relay, token, 'TOKEN_REVOKED');
    const named = {...at, session: ticket.id};
    await expect(RawAgent.connect(world.scope, named)).rejects.toThrow('401');
    const ended = world.ear.all('token-ended').find(({tokenId}) => tokenId === record.id);
    expect(ended).toMatchObject({code: 'TOKEN_REVOKED', session: ticket.id.slice(0, 8)});
    expect(world.ear.all('login-refused').find(({tokenId}) => tokenId === record.id)).toMatchObject({
      ...{code: 'TOKEN_REVOKED', owner: record.owner, from: '127.0.0.1'},
    });
  });
});

/** Takes something away from a token; the code is the one for its agent. */
const CHANGES = {
  revoked: {act: ({tokens}: World, id: string) => tokens.revoke(id), code: 'TOKEN_REVOKED'},
  replaced: {act: ({tokens}: World, id: string) => tokens.rotate(id), code: 'TOKEN_REVOKED'},
  expired: {act: ({tokens}: World, id: string) => tokens.set(id, {expiresInMs: 1}), code: 'TOKEN_EXPIRED'},
} as const;

describe.each([1, 2])('live sessions of a relay of %i processes', (workers) => {
  test('end, or lose their tunnels and visitors, within 5 s', async () => {
    const world = await open(workers);
    await using _scope = world.scope;
    const times: number[] = [];
    const timed = async (since: number, happened: Promise<unknown>) => {
      const result = await happened;
      times.push(performance.now() - since);
      return result;
    };
    // Everything at once, so that the test takes no longer than one change.
    const binds = Object.values(BINDS);
    const changes = Object.values(CHANGES).flatMap((change) => [
      {change, kind: 'tls'},
      {change, kind: 'tcp'},
    ]);
    const made = await make(world, [
      ...binds.map(({scope: right}) => [right, 'name:still-here']),
      ...changes.map(() => ['name:@random', 'tcp:*']),
    ]);
    const agents = await Promise.all(made.map(({token}) => begin(world, token)));
    const narrowed = binds.map(({wish}, at) => ({
      ...(made[at] as MadeToken),
      wish,
      agent: agents[at] as RawAgent,
    }));
    const ended = changes.map((each, i) => {
      const at = binds.length + i;
      return {...each, ...(made[at] as MadeToken), agent: agents[at] as RawAgent};
    });
    const all = {narrowed, ended};
    const losses: Promise<unknown>[] = [];
    for (const {record, wish, agent} of all.narrowed) {
      // Binds of the same name by other owners are refused; they lose nothing.
      const needsName = Object.values(wish).includes(DRAWN);
      const answer = await bound(agent, needsName ? withDrawn(wish, await draw(agent)) : wish);
      if (answer.type !== 'bound') continue;
      const since = performance.now();
      await world.tokens.set(record.id, {scopes: ['name:still-here']});
      losses.push(
        timed(
          since,
          agent.controlMessage('unbound', ({code}) => code === 'NOT_ALLOWED'),
        ),
      );
    }
    expect(losses.length).toBeGreaterThanOrEqual(7);
    for (const {record, change, kind, agent} of all.ended) {
      expect(outcome(await bound(agent, {kind}))).toBe('bound');
      const since = performance.now();
      await change.act(world, record.id);
      losses.push(
        timed(
          since,
          agent.lastWord().then((code) => expect(code).toBe(change.code)),
        ),
      );
    }
    await Promise.all(losses);
    expect(
      atMost('figure 22', `live sessions of ${workers} processes end, ms`, Math.max(...times), WITHIN_MS),
    ).toBe(true);
    // A session that was narrowed goes on with what is left.
    const [{agent}] = all.narrowed as [(typeof all.narrowed)[0]];
    expect(outcome(await bound(agent, {kind: 'tls', name: 'still-here'}, 7))).toBe('bound');
    expect(outcome(await bound(agent, {kind: 'tls', name: 'demo'}, 8))).toBe('NOT_ALLOWED');
    expect(await opened(agent, 'echo', 2)).toBe('opened');
  });

  test('a random name is given again after a restart, without its lease', async () => {
    const world = await open(workers);
    await using _scope = world.scope;
    const [first, second] = await make(world, [['name:@random'], ['name:@random']], ['ana', 'bo']);
    const name = await draw(await begin(world, first.token));
    const {relay, stateDir} = world;
    await relay.close();
    await rm(join(stateDir, 'relay', relay.domain, 'leases.json'));
    const next = {...world, relay: await start(world)};
    // Each worker knows it.
    for (let times = 0; times < workers; times += 1) {
      const agent = await begin(next, first.token);
      expect(outcome(await bound(agent, {kind: 'tls', name: CHOSEN}))).toBe('NOT_ALLOWED');
      expect(nameOf(await bound(agent, {kind: 'tls', name}, 2))).toBe(name);
    }
    const other = await begin(next, second.token);
    expect(outcome(await bound(other, {kind: 'tls', name}))).toBe('NAME_TAKEN');
  });

  test('a stream that an agent has opened is reset when its token has no rights any more', async () => {
    const world = await open(workers);
    await using _scope = world.scope;
    const [{token, record}] = await make(world, [['name:x']]);
    const agent = await begin(world, token);
    expect(await opened(agent, 'echo', 2)).toBe('opened');
    await world.tokens.set(record.id, {scopes: []});
    const {payload} = await agent.frame(({type, stream}) => type === frame.reset && stream === 2);
    expect(JSON.parse(String(payload))).toMatchObject({code: 'NOT_ALLOWED'});
    expect(await opened(agent, 'echo', 4)).toBe('NOT_ALLOWED');
  });

  test('visitors of a tunnel that is taken away are reset', async () => {
    const world = await open(workers);
    await using _scope = world.scope;
    const [{token, record}] = await make(world, [['tcp:*']]);
    const agent = await begin(world, token);
    const port = await agent.bindTcp();
    const visitor = connect(port, '127.0.0.1');
    const reset = new Promise((resolve) => visitor.once('error', resolve));
    const {stream} = await agent.frame(({type}) => type === frame.open);
    agent.segment(frameBytes(frame.opened, stream));
    const since = performance.now();
    await world.tokens.set(record.id, {scopes: ['tcp:1']});
    expect(await reset).toMatchObject({code: 'ECONNRESET'});
    const {payload} = await agent.frame(({type}) => type === frame.reset);
    expect(JSON.parse(String(payload))).toMatchObject({code: 'NOT_ALLOWED'});
    expect(
      atMost('figure 22', `visitors of ${workers} processes end, ms`, performance.now() - since, WITHIN_MS),
    ).toBe(true);
  });
});

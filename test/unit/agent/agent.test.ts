// The agent and a relay's table of agents, over pipes in memory: links come and go, the session and its binds stay.

import {afterEach, describe, expect, test, vi} from 'vitest';
import {Agent} from '../../../src/lib/agent/agent.js';
import type {AgentOptions} from '../../../src/lib/agent/agent-options.js';
import {UnreadLimit} from '../../../src/lib/bytes/unread-limit.js';
import {systemClock} from '../../../src/lib/core/clock.js';
import {TunlError} from '../../../src/lib/core/errors.js';
import {createLogger} from '../../../src/lib/core/logger.js';
import {BlockPool} from '../../../src/lib/mux/blocks.js';
import type {Carrier} from '../../../src/lib/mux/carrier.js';
import {greetAgent, refuseHello} from '../../../src/lib/mux/handshake.js';
import {Link} from '../../../src/lib/mux/link.js';
import {createPipe} from '../../../src/lib/mux/pipe.js';
import {ProbeSecrets} from '../../../src/lib/mux/probe-secrets.js';
import {ReplayBudget} from '../../../src/lib/mux/replay-budget.js';
import type {Stream} from '../../../src/lib/mux/stream.js';
import type {StreamHandlers} from '../../../src/lib/mux/stream-kinds.js';
import {WindowBudget} from '../../../src/lib/mux/window-budget.js';
import {PROBE_PROTOCOL} from '../../../src/lib/protocol/probe.js';
import type {StreamKind} from '../../../src/lib/protocol/wire.js';
import {KIND} from '../../../src/lib/protocol/wire.js';
import {unlimitedPrincipal} from '../../../src/lib/relay/access/principal.js';
import {Agents} from '../../../src/lib/relay/agents/agents.js';
import type {Member} from '../../../src/lib/relay/agents/member.js';
import {OpenedStreams, type Opener} from '../../../src/lib/relay/agents/opened-streams.js';
import {MemoryLeases} from '../../../src/lib/relay/leases/memory-leases.js';
import {TcpPorts} from '../../../src/lib/relay/tunnels/tcp-ports.js';
import {TunnelTable} from '../../../src/lib/relay/tunnels/tunnel-table.js';
import {ManualClock} from '../../helpers/manual-clock.js';
import {Opened} from '../../helpers/opened.js';

const principal = unlimitedPrincipal('token:1');
const silent = createLogger('test', undefined);

afterEach(() => vi.restoreAllMocks());

/** A relay without sockets: its table of agents, and their tunnels. */
function relaySide(onStream: StreamHandlers<Opener> = {}) {
  const ports = new TcpPorts({range: undefined, host: '127.0.0.1', reusePort: false});
  const tunnels = new TunnelTable({
    domain: 'r1.localhost',
    publicPort: () => 443,
    tcpPublicHost: 'r1.localhost',
    clock: systemClock,
    h2Offered: true,
    leases: new MemoryLeases({graceMs: 60_000}),
    ports,
    events: {emit: () => {}},
    log: silent,
  });
  const streams = new OpenedStreams({
    unread: new UnreadLimit({limitBytes: 2 ** 30, clock: new ManualClock(), log: silent}),
    clock: systemClock,
  });
  for (const [kind, handler] of Object.entries(onStream)) streams.take(Number(kind) as StreamKind, handler);
  const agents = new Agents({
    warningOf: () => undefined,
    domain: 'r1.localhost',
    software: 'relay',
    tunnels,
    names: {check: () => {}, edition: 0},
    streams,
    onBound: () => {},
    onRestricted: () => {},
    pool: new BlockPool(),
    windowBudget: new WindowBudget(2 ** 30),
    replayBudget: new ReplayBudget(2 ** 30),
    resumeWindowMs: 60_000,
    maxTunnelsPerAgent: 10,
    maxLeasesPerOwner: 100,
    keepForReplay: true,
    comeBackWithinMs: 0,
    successors: [],
    load: {add: () => {}},
    events: {emit: () => {}},
    clock: systemClock,
    log: silent,
  });
  return {agents, tunnels};
}

/** A relay that knows no session, not even a new one. */
function knowNobody(carrier: Carrier): void {
  const link = new Link(carrier);
  greetAgent(link, {
    software: 'relay',
    timeoutMs: 10_000,
    clock: systemClock,
    onHello: () => refuseHello(link, 'SESSION_UNKNOWN', 'never heard of it'),
    onFailed: () => {},
  });
}

const turns = async (count: number) => {
  for (let i = 0; i < count; i += 1) await new Promise((resolve) => setImmediate(resolve));
};

type Happening = {type: string; code?: string; resumed?: number; lost?: number};

function setUp(
  {onDelay, ...options}: Partial<AgentOptions> & {onDelay?: (ms: number) => void} = {},
  onStream: StreamHandlers<Opener> = {},
) {
  let relay = relaySide(onStream);
  const events: Happening[] = [];
  const waiting = new Set<{type: string; resolve: () => void}>();
  const carriers: Carrier[] = [];
  const asked: (string | undefined)[] = [];
  const tickets: (string | undefined)[] = [];
  const state = {refuse: undefined as TunlError | undefined, silent: false, forgetful: false};
  const happen = (event: Happening) => {
    events.push(event);
    for (const each of waiting) if (each.type === event.type) each.resolve();
  };
  const agent = new Agent({
    ...options,
    software: 'agent',
    pool: new BlockPool(),
    log: silent,
    successors: {judge: (urls) => ({followed: urls, refused: undefined})},
    dial: (signal, url, session) => {
      asked.push(url);
      tickets.push(session?.ticket);
      if (state.silent) {
        happen({type: 'dialled'});
        return new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new TunlError('ABORTED')));
        });
      }
      if (state.refuse !== undefined) return Promise.reject(state.refuse);
      const [mine, theirs] = createPipe();
      carriers.push(mine);
      if (state.forgetful) knowNobody(theirs);
      else relay.agents.accept(theirs, {principal, recognised: () => {}, entered: () => {}});
      happen({type: 'dialled'});
      return Promise.resolve(mine);
    },
    events: {
      onReconnecting: ({error, delayMs}) => {
        onDelay?.(delayMs);
        happen({type: 'reconnecting', code: error.code});
      },
      onResumed: (_awayMs, resumed, lost) => happen({type: 'resumed', resumed, lost}),
      onNotice: (code) => happen({type: 'notice', code}),
      onEnded: (error) => happen({type: 'ended', ...(error === undefined ? {} : {code: error.code})}),
    },
  });
  const next = (type: string) =>
    new Promise<void>((resolve) => {
      const each = {
        type,
        resolve: () => {
          waiting.delete(each);
          resolve();
        },
      };
      waiting.add(each);
    });
  const replaceRelay = () => {
    relay = relaySide(onStream);
    return relay;
  };
  /** The relay says goodbye and another takes its place. Resolves when the agent has its tunnel there. */
  const goodbye = async () => {
    const leaving = relay;
    const other = replaceRelay();
    const dialled = next('dialled');
    leaving.agents.sendAway('bye', {afterMs: () => 0, relays: []});
    await dialled;
    while (other.tunnels.named('demo') === undefined) await turns(1);
    return {leaving, other};
  };
  return {
    agent,
    events,
    carriers,
    asked,
    tickets,
    state,
    next,
    relay: () => relay,
    /** From now on the relay is a new process, which knows no session. */
    replaceRelay,
    goodbye,
    told: () => events.filter((each) => each.type !== 'dialled'),
  };
}

const echo = {
  onVisitor(stream: Stream) {
    stream.sink = {
      onData(piece: Buffer) {
        stream.write(piece);
        stream.consumed(piece.length);
      },
      onEnd: () => stream.end(),
      onWritable: () => {},
      onReset: () => {},
    };
    stream.accept();
  },
  onLost: () => {},
};

/** A visitor of `name` who gets the echo of its bytes. */
function visit(side: ReturnType<typeof relaySide>, name: string) {
  const tunnel = side.tunnels.named(name);
  const stream = tunnel?.session.open(KIND.visitor, {
    tunnel: tunnel.id,
    via: 'tls',
    address: '192.0.2.1',
    port: 1,
  });
  if (stream === undefined) throw new Error('no stream');
  let heard = '';
  let wanted: {text: string; resolve: () => void} | undefined;
  const over = Promise.withResolvers<string>();
  stream.sink = {
    onData(piece) {
      heard += piece.toString();
      stream.consumed(piece.length);
      if (wanted !== undefined && heard.endsWith(wanted.text)) wanted.resolve();
    },
    onEnd: () => over.resolve('ended'),
    onWritable: () => {},
    onReset: (code) => over.resolve(code),
  };
  const say = (text: string) =>
    new Promise<void>((resolve) => {
      wanted = {text, resolve};
      stream.write(Buffer.from(text));
    });
  return {say, over: over.promise, stream};
}

test('a lost link is resumed: the open stream goes on, and both sides are told', async () => {
  const {agent, carriers, relay, next, told, tickets} = setUp();
  await agent.start();
  await agent.bind({kind: 'tls', h2: false, name: 'demo'}, echo);
  const visitor = visit(relay(), 'demo');
  await visitor.say('before');
  const back = next('resumed');
  carriers[0]?.destroy(new Error('cut'));
  const said = visitor.say('while it was away');
  await back;
  await said;
  expect(told()).toEqual([
    {type: 'reconnecting', code: 'RELAY_LOST'},
    {type: 'resumed', resumed: 1, lost: 0},
  ]);
  // It names its session at the upgrade, and does not show its token again.
  const [{ticket}] = [...relay().agents.members] as [Member];
  expect(tickets).toEqual([undefined, ticket.id]);
  agent.close();
});

test('a probe, and a stream of the agent itself, are no connections that a lost link keeps', async () => {
  const secrets = new ProbeSecrets(systemClock, {answers: false});
  using _issued = secrets.issue(() => {});
  const {agent, carriers, relay, next, told} = setUp({onProbe: (stream) => secrets.answer(stream)});
  await agent.start();
  await agent.bind({kind: 'tls', h2: false, name: 'demo'}, echo);
  await visit(relay(), 'demo').say('before');
  const tunnel = relay().tunnels.named('demo');
  tunnel?.session.open(KIND.visitor, {
    ...{tunnel: tunnel.id, via: 'tls', address: '192.0.2.1', port: 1},
    alpn: PROBE_PROTOCOL,
  });
  while (agent.streamCount < 2) await turns(1);
  const back = next('resumed');
  carriers[0]?.destroy(new Error('cut'));
  await back;
  expect(told().at(-1)).toEqual({type: 'resumed', resumed: 1, lost: 0});
  agent.close();
});

test('a relay that forgot the session gets a new one, and the tunnel gets its name again', async () => {
  const {agent, carriers, next, replaceRelay, told} = setUp();
  await agent.start();
  const before = await agent.bind({kind: 'tls', h2: false}, echo);
  const other = replaceRelay();
  const back = next('resumed');
  carriers[0]?.destroy(new Error('cut'));
  await back;
  const name = before.host.slice(0, before.host.indexOf('.'));
  while (other.tunnels.named(name) === undefined) await new Promise((resolve) => setImmediate(resolve));
  await visit(other, name).say('hello');
  expect(told().at(-1)).toEqual({type: 'resumed', resumed: 0, lost: 0});
  agent.close();
});

test('a relay that cannot continue the session ends it, and the agent begins another', async () => {
  const {agent, next, relay, told} = setUp();
  await agent.start();
  await agent.bind({kind: 'tls', h2: false, name: 'demo'}, echo);
  const back = next('resumed');
  relay().agents.closeAll('SESSION_RANGE', 'bytes that are gone');
  await back;
  while (relay().tunnels.named('demo') === undefined) await new Promise((resolve) => setImmediate(resolve));
  await visit(relay(), 'demo').say('hello');
  expect(told().map((each) => each.type)).toEqual(['reconnecting', 'resumed']);
  agent.close();
});

test('a relay that says goodbye: new visitors go to the next one, the old stream finishes, both sides are told at once', async () => {
  const {agent, relay, goodbye, told} = setUp();
  await agent.start();
  await agent.bind({kind: 'tls', h2: false, name: 'demo'}, echo);
  const old = visit(relay(), 'demo');
  await old.say('one');
  const {leaving, other} = await goodbye();
  await visit(other, 'demo').say('by the new relay');
  await old.say('by the old relay');
  expect(agent.streamCount).toBe(2);
  leaving.agents.closeAll('RELAY_LOST', 'gone');
  expect(await old.over).toBe('SESSION_ENDED');
  expect(told()).toEqual([
    {type: 'reconnecting', code: 'RELAY_LEAVING'},
    {type: 'resumed', resumed: 0, lost: 0},
  ]);
  agent.close();
});

test('a visitor who still comes by a relay that has said goodbye gets its own tunnel, whose number another one has by then', async () => {
  const {agent, relay, goodbye} = setUp();
  await agent.start();
  const came: string[] = [];
  const owner = (name: string) => ({
    ...echo,
    onVisitor: (stream: Stream) => {
      came.push(name);
      echo.onVisitor(stream);
    },
  });
  const [first, demo, last] = [owner('first'), owner('demo'), owner('last')];
  await agent.bind({kind: 'tls', h2: false, name: 'first'}, first);
  await agent.bind({kind: 'tls', h2: false, name: 'demo'}, demo);
  await agent.bind({kind: 'tls', h2: false, name: 'last'}, last);
  const numberOf = (side: ReturnType<typeof relaySide>, name: string) => side.tunnels.named(name)?.id;
  const number = numberOf(relay(), 'demo');
  agent.unbind(first);
  const {leaving, other} = await goodbye();
  while (numberOf(other, 'last') === undefined) await turns(1);
  expect([number, numberOf(other, 'last')]).toEqual([2, 2]);
  await visit(leaving, 'demo').say('late');
  await visit(leaving, 'last').say('late, too');
  expect(came).toEqual(['demo', 'last']);
  agent.unbind(demo);
  expect(await visit(leaving, 'demo').over).toBe('TUNNEL_UNKNOWN');
  agent.close();
});

test('a relay that says goodbye and names others: the agent tries them first, and prefers them from then on', async () => {
  const clock = new ManualClock();
  const {agent, asked, carriers, relay, replaceRelay, state, told} = setUp({clock});
  await agent.start();
  await agent.bind({kind: 'tls', h2: false, name: 'demo'}, echo);
  const leaving = relay();
  const other = replaceRelay();
  const passUntil = async (happened: () => boolean) => {
    while (!happened()) {
      clock.advance(100);
      await turns(1);
    }
  };
  // The first one refuses the agent; the second one is tried as well.
  state.refuse = new TunlError('TOKEN_WRONG');
  leaving.agents.sendAway('bye', {afterMs: () => 0, relays: ['https://a.test', 'https://b.test']});
  await passUntil(() => asked.at(-1) === 'https://a.test');
  state.refuse = undefined;
  await passUntil(() => other.tunnels.named('demo') !== undefined);
  expect(asked).toEqual([undefined, 'https://a.test', 'https://b.test']);
  carriers.at(-1)?.destroy(new Error('cut'));
  await passUntil(() => asked.length === 4);
  expect(asked.at(-1)).toBe('https://b.test');
  expect(told()[0]).toEqual({type: 'notice', code: 'RELAY_LEAVING'});
  agent.close();
});

describe('an agent at another relay', () => {
  /** The agent was sent to https://b.test and serves there; its own relay accepts it at any time as well. */
  async function elsewhere() {
    const clock = new ManualClock();
    const all = setUp({clock});
    const {agent, relay, replaceRelay} = all;
    await agent.start();
    await agent.bind({kind: 'tls', h2: false, name: 'demo'}, echo);
    const leaving = relay();
    const other = replaceRelay();
    const passUntil = async (happened: () => boolean) => {
      while (!happened()) {
        clock.advance(100);
        await turns(1);
      }
    };
    leaving.agents.sendAway('bye', {afterMs: () => 0, relays: ['https://b.test']});
    await passUntil(() => other.tunnels.named('demo') !== undefined);
    return {...all, clock, other, passUntil};
  }

  test('tries its own relay after ten minutes, and its last streams finish at the other one', async () => {
    const {agent, asked, clock, other, passUntil, replaceRelay, told} = await elsewhere();
    const old = visit(other, 'demo');
    await old.say('one');
    const home = replaceRelay();
    const before = told().length;
    await passUntil(() => home.tunnels.named('demo') !== undefined);
    expect(clock.now()).toBeGreaterThan(600_000);
    expect(asked).toEqual([undefined, 'https://b.test', undefined]);
    await visit(home, 'demo').say('at home');
    await old.say('two');
    // There was no interruption.
    expect(told().slice(before)).toEqual([]);
    old.stream.end();
    await passUntil(() => other.agents.size === 0);
    agent.close();
  });

  test('stays there while its own does not accept it', async () => {
    const {agent, asked, other, passUntil, state, told} = await elsewhere();
    state.refuse = new TunlError('TOKEN_WRONG', {fromRelay: true});
    const before = told().length;
    await passUntil(() => asked.filter((each) => each === undefined).length === 2);
    await visit(other, 'demo').say('still here');
    expect(told().slice(before)).toEqual([]);
    await passUntil(() => asked.filter((each) => each === undefined).length === 3);
    agent.close();
  });

  test('tries its own relay first when the other one is gone and no stream is open there', async () => {
    const {agent, asked, carriers, passUntil, replaceRelay, state} = await elsewhere();
    state.refuse = new TunlError('RELAY_REFUSED');
    carriers.at(-1)?.destroy(new Error('cut'));
    await passUntil(() => asked.length === 3);
    state.refuse = undefined;
    const home = replaceRelay();
    await passUntil(() => home.tunnels.named('demo') !== undefined);
    expect(asked).toEqual([undefined, 'https://b.test', 'https://b.test', undefined]);
    agent.close();
  });

  test('waits a minute for the open streams of the other relay', async () => {
    const {agent, asked, carriers, clock, other, passUntil, state} = await elsewhere();
    await visit(other, 'demo').say('one');
    state.refuse = new TunlError('RELAY_REFUSED');
    carriers.at(-1)?.destroy(new Error('cut'));
    const since = clock.now();
    await passUntil(() => asked.at(-1) === undefined);
    expect(clock.now() - since).toBeGreaterThanOrEqual(60_000);
    expect(agent.streamCount).toBe(0);
    agent.close();
  });
});

test('a relay that only says goodbye is tried at growing intervals', async () => {
  const clock = new ManualClock();
  const {agent, carriers, relay} = setUp({clock});
  await agent.start();
  for (let i = 0; i < 600; i += 1) {
    relay().agents.sendAway('bye', {afterMs: () => 0, relays: []});
    await turns(3);
    clock.advance(100);
  }
  expect(carriers.length).toBeLessThan(40);
  // It keeps only a few of the sessions that it has left.
  await turns(10);
  expect(relay().agents.size).toBeLessThanOrEqual(10);
  agent.close();
});

test('a relay that says goodbye while a second link is tried: the next relay does not wait for that attempt', async () => {
  const {agent, goodbye, state} = setUp();
  await agent.start();
  await agent.bind({kind: 'tls', h2: false, name: 'demo'}, echo);
  state.silent = true;
  agent.nudge(60_000);
  state.silent = false;
  const {other} = await goodbye();
  await visit(other, 'demo').say('by the new relay');
  agent.close();
});

describe('the waits before attempts', () => {
  /** A link that is back after failures that increased its back-off. */
  async function grown() {
    vi.spyOn(Math, 'random').mockReturnValue(0.999);
    const clock = new ManualClock();
    const delays: number[] = [];
    const all = setUp({clock, onDelay: (ms) => delays.push(ms)});
    const {agent, carriers, state, next, relay} = all;
    const passUntil = async (happened: () => boolean) => {
      while (!happened()) {
        clock.advance(100);
        await turns(2);
      }
    };
    await agent.start();
    await agent.bind({kind: 'tls', h2: false, name: 'demo'}, echo);
    const visitor = visit(relay(), 'demo');
    await visitor.say('before');
    state.refuse = new TunlError('RELAY_REFUSED');
    carriers.at(-1)?.destroy(new Error('cut'));
    await passUntil(() => delays.length > 6);
    state.refuse = undefined;
    const back = all.told().length;
    await passUntil(() =>
      all
        .told()
        .slice(back)
        .some(({type}) => type === 'resumed'),
    );
    const cut = async () => {
      const lost = next('reconnecting');
      carriers.at(-1)?.destroy(new Error('cut'));
      await lost;
      return delays.at(-1) ?? 0;
    };
    return {...all, clock, visitor, cut, passUntil};
  }

  test('are at most 2.5 s while a stream waits, and keep growing when the links carried nothing', async () => {
    const {agent, cut} = await grown();
    expect(Math.round(await cut())).toBe(2_498);
    agent.close();
  });

  test('are short again when the resumed link has carried something', async () => {
    const {agent, visitor, cut} = await grown();
    await visitor.say('carried');
    // The relay acknowledges after a delay.
    while (agent.isBehind) await turns(1);
    expect(await cut()).toBeLessThanOrEqual(250);
    agent.close();
  });

  test('are short again after a link that held for a while', async () => {
    const {agent, visitor, clock, cut, relay, passUntil} = await grown();
    visitor.stream.reset('VISITOR_RESET');
    await passUntil(() => agent.streamCount === 0);
    clock.advance(5_000);
    expect(relay().tunnels.named('demo')).toBeDefined();
    expect(await cut()).toBeLessThanOrEqual(250);
    agent.close();
  });
});

test('a second link beside a live one takes over silently, and the first is destroyed', async () => {
  const {agent, carriers, next, relay, told} = setUp();
  await agent.start();
  await agent.bind({kind: 'tls', h2: false, name: 'demo'}, echo);
  const visitor = visit(relay(), 'demo');
  await visitor.say('one');
  const dialled = next('dialled');
  agent.nudge(60_000);
  await dialled;
  await visitor.say('two');
  expect(carriers).toHaveLength(2);
  expect(told()).toEqual([]);
  agent.close();
});

test('an attempt that hangs starts again when the addresses change', async () => {
  const {agent, carriers, relay, next, state, told} = setUp();
  await agent.start();
  await agent.bind({kind: 'tls', h2: false, name: 'demo'}, echo);
  const visitor = visit(relay(), 'demo');
  await visitor.say('before');
  state.silent = true;
  const tried = next('dialled');
  carriers[0]?.destroy(new Error('cut'));
  await tried;
  state.silent = false;
  const back = next('resumed');
  agent.nudge(60_000);
  await back;
  await visitor.say('after');
  expect(told().map(({type}) => type)).toEqual(['reconnecting', 'resumed']);
  agent.close();
});

test('a first link that breaks while the second is under way starts no further search', async () => {
  const clock = new ManualClock();
  const {agent, carriers, relay, next, told} = setUp({clock});
  await agent.start();
  await agent.bind({kind: 'tls', h2: false, name: 'demo'}, echo);
  const back = next('resumed');
  agent.nudge(60_000);
  carriers[0]?.destroy(new Error('cut'));
  await back;
  await turns(1);
  clock.advance(1_000);
  await turns(20);
  await visit(relay(), 'demo').say('still the second');
  expect(carriers).toHaveLength(2);
  expect(told().map(({type}) => type)).toEqual(['reconnecting', 'resumed']);
  agent.close();
});

test('after a change of the addresses the agent tries at once, also when its session is over by then', async () => {
  const clock = new ManualClock();
  const {agent, carriers, next, state} = setUp({clock});
  await agent.start();
  state.refuse = new TunlError('RELAY_REFUSED');
  carriers[0]?.destroy(new Error('cut'));
  for (let seconds = 0; seconds < 90; seconds += 1) {
    clock.advance(1_000);
    await turns(2);
  }
  state.refuse = undefined;
  const back = next('resumed');
  agent.nudge(2_000);
  await back;
  agent.close();
});

test('a relay that does not know a new session is not tried again at once', async () => {
  const clock = new ManualClock();
  const {agent, carriers, next, state, told} = setUp({clock});
  await agent.start();
  state.forgetful = true;
  const lost = next('reconnecting');
  carriers[0]?.destroy(new Error('cut'));
  await lost;
  clock.advance(250);
  await turns(100);
  // The agent asked for the old session, then for a new one.
  expect(carriers).toHaveLength(3);
  expect(told().at(-1)).toEqual({type: 'reconnecting', code: 'SESSION_UNKNOWN'});
  agent.close();
});

test('a second link that fails is no loss while the first lives', async () => {
  const {agent, relay, state, told} = setUp();
  await agent.start();
  await agent.bind({kind: 'tls', h2: false, name: 'demo'}, echo);
  state.refuse = new TunlError('RELAY_REFUSED');
  agent.nudge(60_000);
  await visit(relay(), 'demo').say('still here');
  expect(told()).toEqual([]);
  agent.close();
});

test('a final refusal ends the agent with its code, a temporary one does not', async () => {
  const {agent, carriers, next, state, told} = setUp();
  await agent.start();
  state.refuse = new TunlError('RELAY_REFUSED');
  const tried = next('reconnecting');
  carriers[0]?.destroy(new Error('cut'));
  await tried;
  state.refuse = new TunlError('TOKEN_WRONG', {fromRelay: true});
  await next('ended');
  expect(told().at(-1)).toEqual({type: 'ended', code: 'TOKEN_WRONG'});
  // A later bind is rejected with the reason.
  await expect(agent.bind({kind: 'tls', h2: false}, echo)).rejects.toMatchObject({code: 'TOKEN_WRONG'});
});

describe('with a time limit', () => {
  test('the agent gives up in the middle of an attempt without an answer', async () => {
    const {agent, carriers, next, state, told} = setUp({maxRetryTimeMs: 300});
    await agent.start();
    state.silent = true;
    const ended = next('ended');
    carriers[0]?.destroy(new Error('cut'));
    await ended;
    expect(told().at(-1)).toEqual({type: 'ended', code: 'RELAY_LOST'});
  });

  test('the agent gives up in the middle of a wait that the relay asked for', async () => {
    const {agent, carriers, next, state, told} = setUp({maxRetryTimeMs: 300});
    await agent.start();
    state.refuse = new TunlError('RELAY_BUSY', {retryAfterMs: 3_600_000});
    const ended = next('ended');
    carriers[0]?.destroy(new Error('cut'));
    await ended;
    expect(told().map(({type, code}) => [type, code])).toEqual([
      ['reconnecting', 'RELAY_LOST'],
      ['reconnecting', 'RELAY_BUSY'],
      ['ended', 'RELAY_LOST'],
    ]);
  });

  test('a link within the limit is kept', async () => {
    const clock = new ManualClock();
    const {agent, carriers, next, told} = setUp({maxRetryTimeMs: 2_000, clock});
    await agent.start();
    const back = next('resumed');
    carriers[0]?.destroy(new Error('cut'));
    clock.advance(250);
    await back;
    clock.advance(2_000);
    expect(told().at(-1)).toMatchObject({type: 'resumed'});
    agent.close();
  });

  test('after the loss of a link before the first bind, the agent waits for a while', async () => {
    const clock = new ManualClock();
    const {agent, carriers, next, state} = setUp({clock});
    await agent.start();
    const bound = agent.bind({kind: 'tls', h2: false, name: 'demo'}, echo);
    const lost = next('reconnecting');
    state.silent = true;
    carriers[0]?.destroy(new Error('cut'));
    await lost;
    clock.advance(10_000);
    await expect(bound).rejects.toMatchObject({code: 'RELAY_LOST'});
  });

  test('the bind is granted when the link is back within that time', async () => {
    const {agent, carriers, next} = setUp();
    await agent.start();
    const bound = agent.bind({kind: 'tls', h2: false, name: 'demo'}, echo);
    const back = next('resumed');
    carriers[0]?.destroy(new Error('cut'));
    await back;
    expect(await bound).toMatchObject({host: 'demo.r1.localhost'});
    agent.close();
  });

  test.each([
    ['nobody answers', 'RELAY_TIMEOUT', {silent: true}],
    [
      'the relay refuses',
      'RELAY_REFUSED',
      {refuse: new TunlError('RELAY_REFUSED', {retryAfterMs: 3_600_000})},
    ],
  ])('the agent does not wait for the first link, when %s', async (_how, code, change) => {
    const {agent, state, told} = setUp({wait: true, maxRetryTimeMs: 100});
    Object.assign(state, change);
    await expect(agent.start()).rejects.toMatchObject({code});
    expect(told().at(-1)).toEqual({type: 'ended', code});
  });
});

test.each(Array.from({length: 16}, (_, k) => k))(
  'an agent that ends %i turns after its dial leaves no session at the relay',
  async (k) => {
    const {agent, relay, next} = setUp();
    const dialled = next('dialled');
    const started = agent.start().catch((error: unknown) => error);
    await dialled;
    await turns(k);
    agent.destroy(new TunlError('ABORTED'));
    await agent.gone();
    await started;
    await turns(20);
    expect(relay().agents.size).toBe(0);
  },
);

test('the first link fails at once, and a requested end is reported once', async () => {
  const {agent, state, told} = setUp();
  state.refuse = new TunlError('RELAY_REFUSED');
  await expect(agent.start()).rejects.toMatchObject({code: 'RELAY_REFUSED'});
  agent.close();
  expect(told()).toEqual([{type: 'ended', code: 'RELAY_REFUSED'}]);
});

describe('a stream that the agent opens', () => {
  const echoes = {[KIND.service]: echo.onVisitor};

  test('goes to the current session: after a goodbye to the next one', async () => {
    const {agent, relay, goodbye} = setUp({}, echoes);
    await agent.start();
    await agent.bind({kind: 'tls', h2: false, name: 'demo'}, echo);
    const [old, next] = [new Opened(), new Opened()];
    await agent.open(KIND.service, {}, old);
    await old.echo('here');
    const leaving = relay();
    await goodbye();
    await agent.open(KIND.service, {}, next);
    await next.echo('there');
    await old.echo(' and still here');
    await leaving.agents.closeAll('RELAY_LOST', 'gone');
    expect(await old.refused).toMatchObject({code: 'SESSION_ENDED'});
    await next.echo(' and still there');
    agent.close();
    expect(await next.refused).toMatchObject({code: 'SESSION_ENDED'});
  });

  test('waits for a link, at most for its time', async () => {
    const clock = new ManualClock();
    const {agent, carriers, state, next, replaceRelay} = setUp({clock}, echoes);
    await agent.start();
    state.silent = true;
    const away = next('reconnecting');
    carriers[0]?.destroy(new Error('cut'));
    await away;
    const soon = agent.open(KIND.service, {}, {withinMs: 5_000});
    const patient = new Opened();
    const later = agent.open(KIND.service, {}, {onOpen: patient.onOpen, withinMs: 3_600_000});
    const stop = new AbortController();
    const stopped = agent.open(KIND.service, {}, {signal: stop.signal});
    stop.abort();
    await expect(stopped).rejects.toMatchObject({code: 'ABORTED'});
    clock.advance(5_000);
    await expect(soon).rejects.toMatchObject({code: 'RELAY_TIMEOUT'});
    // Another relay takes its place, so the session is a new one.
    replaceRelay();
    state.silent = false;
    agent.nudge(1_000);
    await later;
    await patient.echo('at last');
    agent.close();
  });

  test('is rejected when the agent has ended, or ends while the stream waits', async () => {
    const {agent, carriers, state, next} = setUp({}, echoes);
    await agent.start();
    state.silent = true;
    const away = next('reconnecting');
    carriers[0]?.destroy(new Error('cut'));
    await away;
    const waiting = agent.open(KIND.service, {});
    agent.destroy(new TunlError('TAKEN_OVER'));
    await expect(waiting).rejects.toMatchObject({code: 'TAKEN_OVER'});
    await expect(agent.open(KIND.service, {})).rejects.toMatchObject({code: 'TAKEN_OVER'});
  });

  test('is refused by a relay without a handler, and by this agent when the relay opens one, whatever the content', async () => {
    const {agent, relay} = setUp();
    await agent.start();
    await agent.bind({kind: 'tls', h2: false, name: 'demo'}, echo);
    expect(agent.relayFeatures).not.toContain('service');
    const mine = new Opened();
    await agent.open(KIND.service, {}, mine);
    expect(await mine.refused).toMatchObject({code: 'KIND_UNKNOWN'});
    for (const kind of [KIND.carrier, KIND.egress, KIND.service]) {
      const theirs = new Opened();
      theirs.onOpen(relay().tunnels.named('demo')?.session.open(kind, {}) as Stream);
      expect(await theirs.refused).toMatchObject({code: 'KIND_UNKNOWN'});
    }
    const malformed = new Opened();
    malformed.onOpen(relay().tunnels.named('demo')?.session.open(KIND.visitor, {}) as Stream);
    expect(await malformed.refused).toMatchObject({code: 'CANCELLED', message: /tunnel/});
    agent.close();
  });

  test('is accepted by this agent when it has a handler for the kind', async () => {
    const {agent, relay} = setUp({onStream: echoes});
    await agent.start();
    await agent.bind({kind: 'tls', h2: false, name: 'demo'}, echo);
    const theirs = new Opened();
    theirs.onOpen(relay().tunnels.named('demo')?.session.open(KIND.service, {}) as Stream);
    await theirs.echo('hello');
    agent.close();
  });
});

test('an agent that gives up its tunnels loses them, and also those with a pending bind', async () => {
  const {agent, relay, goodbye} = setUp();
  await agent.start();
  const leaving = {...echo};
  await agent.bind({kind: 'tls', h2: false, name: 'demo'}, echo);
  await agent.bind({kind: 'tls', h2: false, name: 'gone'}, leaving);
  const asked = agent.bind({kind: 'tls', h2: false, name: 'late'}, leaving);
  agent.unbind(leaving);
  await expect(asked).rejects.toMatchObject({code: 'CLOSED'});
  while (relay().tunnels.size > 1) await turns(1);
  await turns(20);
  expect(['demo', 'gone', 'late'].map((name) => relay().tunnels.named(name) !== undefined)).toEqual([
    true,
    false,
    false,
  ]);
  // The next session does not ask for them either.
  const {other} = await goodbye();
  await turns(20);
  expect(other.tunnels.size).toBe(1);
  agent.close();
});

// Connections without rights: how long, how many, and the cost to their source.

import {Socket} from 'node:net';
import {expect, test} from 'vitest';
import {PendingConnections} from '../../../../src/lib/relay/doors/pending.js';
import type {PendingConnection} from '../../../../src/lib/relay/doors/pending-connection.js';
import type {RelayEvent} from '../../../../src/lib/relay/events.js';
import {ManualClock} from '../../../helpers/manual-clock.js';

class Accepted extends Socket {
  wasReset = false;

  constructor(address: string) {
    super();
    Object.defineProperties(this, {remoteAddress: {value: address}, remotePort: {value: 40_000}});
  }

  override resetAndDestroy(): this {
    this.wasReset = true;
    return this.destroy();
  }
}

interface Limits {
  mostBytes?: number;
  trusted?: string[];
  /** The number of connections for which there are descriptors. */
  room?: number;
  mostHandshakes?: number;
  /** The addresses that the operator has blocked, which the test may change. */
  blocked?: Set<string>;
}

function setUp({mostBytes, trusted = [], room = Infinity, mostHandshakes, blocked = new Set()}: Limits = {}) {
  const clock = new ManualClock();
  const events: RelayEvent[] = [];
  let refused = 0;
  const handshakesRefused: string[] = [];
  const pending: PendingConnections = new PendingConnections({
    clock,
    events: {emit: (event) => void events.push(event)},
    load: {add: () => {}},
    isTrusted: (address) => trusted.includes(address),
    room: {
      get noneForConnections() {
        return pending.count >= room;
      },
      refused: () => {
        refused += 1;
      },
    },
    ...(mostBytes !== undefined && {mostBytes}),
    ...(mostHandshakes !== undefined && {mostHandshakes: () => mostHandshakes}),
    blocks: {hasAddress: (address) => blocked.has(address)},
    onHandshakesRefused: ({address}) => void handshakesRefused.push(address),
  });
  const connect = (address: string) => {
    const socket = new Accepted(address);
    return {socket, connection: pending.admit(socket)};
  };
  const admitted = (address: string): PendingConnection => {
    const {connection} = connect(address);
    if (connection === undefined) throw new Error(`${address} was refused`);
    return connection;
  };
  return {clock, events, pending, connect, admitted, refused: () => refused, handshakesRefused};
}

/** Its turn comes at once. */
function handshake(connection: PendingConnection | undefined, step: 'visitor' | 'own'): boolean {
  return connection?.secures(step) === true && connection.mayBegin();
}

const A = '203.0.113.1';
const B = '203.0.113.2';

test('the first bytes have four seconds, and everything before a session ten', () => {
  const {clock, pending, connect} = setUp();
  const silent = connect(A);
  const slow = connect(A);
  clock.advance(3_999);
  slow.connection?.named();
  handshake(slow.connection, 'own');
  expect(pending.count).toBe(2);
  clock.advance(1);
  expect([silent.socket.wasReset, slow.socket.wasReset]).toEqual([true, false]);
  clock.advance(5_999);
  expect(slow.socket.wasReset).toBe(false);
  clock.advance(1);
  expect([slow.connection?.over, pending.count, pending.bytes, clock.pending]).toEqual([true, 0, 0, 0]);
});

test('a visitor that waited for its tunnel has five seconds for its handshake, at most fifteen in all', () => {
  const {clock, admitted} = setUp();
  const visitor = admitted(A);
  visitor.named();
  clock.advance(9_999);
  expect(handshake(visitor, 'visitor')).toBe(true);
  clock.advance(4_999);
  expect(visitor.over).toBe(false);
  clock.advance(1);
  expect(visitor.over).toBe(true);
});

test('a connection that was accepted by a tunnel has no limit here, and costs its source nothing', () => {
  const {clock, pending, connect} = setUp();
  for (let i = 0; i < 10_000; i++) {
    const {socket, connection} = connect(A);
    handshake(connection, 'visitor');
    connection?.enter();
    socket.destroy();
  }
  expect([pending.count, pending.bytes, clock.pending]).toEqual([0, 0, 0]);
  expect(connect(A).connection).toBeDefined();
});

test('a thousand at once from one address are allowed', () => {
  const {admitted} = setUp();
  const crowd = Array.from({length: 1_000}, () => admitted(A));
  expect(crowd.every((connection) => handshake(connection, 'visitor'))).toBe(true);
});

test('after failed handshakes a source is refused at the tunnels’ names for a while; other sources are not', () => {
  const {clock, admitted} = setUp();
  const fail = (address: string) => {
    const connection = admitted(address);
    const went = handshake(connection, 'visitor');
    connection.end();
    return went;
  };
  for (let i = 0; i < 500; i++) expect(fail(A)).toBe(true);
  expect([fail(A), fail(B)]).toEqual([false, true]);
  // The relay's own name has a separate limit.
  expect(handshake(admitted(A), 'own')).toBe(true);
  clock.advance(1_000);
  expect(fail(A)).toBe(true);
});

test('a source whose connections all fail is refused at the accept, with one report', () => {
  const {clock, events, connect} = setUp();
  for (let i = 0; i < 2_000; i++) connect(A).connection?.end();
  for (let i = 0; i < 300; i++) {
    const {socket, connection} = connect(A);
    expect([socket.wasReset, connection]).toEqual([true, undefined]);
  }
  expect(connect(B).connection).toBeDefined();
  expect(events).toEqual([{type: 'turned-away', because: 'failures', from: A}]);
  clock.advance(100);
  expect(connect(A).connection).toBeDefined();
});

test('a /64 is one source, and a trusted address has no limits', () => {
  const {connect} = setUp({trusted: [B]});
  for (let i = 0; i < 2_000; i++) {
    connect(`2001:db8::${i.toString(16)}`).connection?.end();
    connect(B).connection?.end();
  }
  expect(connect('2001:db8::ffff').connection).toBeUndefined();
  expect(connect('2001:db8:0:1::1').connection).toBeDefined();
  expect(connect(B).connection).toBeDefined();
});

test('a source that has brought a session may fail ten times as often at the relay’s name', () => {
  const {clock, admitted} = setUp();
  const failures = (address: string) => {
    for (let count = 0; ; count += 1) {
      const connection = admitted(address);
      if (!handshake(connection, 'own')) return count;
      connection.end();
    }
  };
  const agent = admitted(A);
  handshake(agent, 'own');
  agent.recognise();
  agent.enter();
  const [proven, unknown] = [failures(A), failures(B)];
  expect(proven).toBeGreaterThan(950);
  expect(unknown).toBe(100);
  clock.advance(600_000);
  expect(failures(A)).toBe(100);
});

test('agents with a token may be refused their sessions any number of times: after a restart all come back at once', () => {
  const {admitted} = setUp();
  for (let i = 0; i < 5_000; i++) {
    const agent = admitted(A);
    expect(handshake(agent, 'own')).toBe(true);
    agent.recognise();
    agent.end();
  }
});

test('a handshake that waits for its turn costs as much as a ClientHello, and does not begin when its source has nothing left', () => {
  const {clock, pending, admitted} = setUp();
  const crowd = Array.from({length: 1_500}, () => admitted(A));
  for (const connection of crowd) {
    connection.named();
    expect(connection.secures('own')).toBe(true);
  }
  clock.advance(10_000);
  expect(pending.count).toBe(0);
  const next = admitted(A);
  expect(next.secures('own')).toBe(true);
  for (let i = 0; i < 100; i++) {
    const other = admitted(A);
    handshake(other, 'own');
    other.end();
  }
  expect([next.mayBegin(), next.over]).toEqual([false, true]);
});

test('after refused tokens only tokens are refused', () => {
  const {clock, admitted} = setUp();
  const guess = admitted(A);
  for (let i = 0; i < 20; i++) {
    expect(guess.mayLogIn(undefined)).toBe(true);
    guess.loginFailed(undefined);
  }
  expect([guess.mayLogIn(undefined), guess.loginWaitMs(undefined)]).toEqual([false, 2_000]);
  expect([handshake(admitted(A), 'visitor'), admitted(B).mayLogIn(undefined)]).toEqual([true, true]);
  clock.advance(2_001);
  expect(guess.mayLogIn(undefined)).toBe(true);
});

test('refused tokens with one id count from all addresses, but not where an agent has come from', () => {
  const {clock, admitted} = setUp();
  const home = admitted(A);
  home.recognise();
  for (let i = 0; i < 50; i++) admitted(`203.0.113.${i + 10}`).loginFailed('k3f9a2m7qx');
  const stranger = admitted(B);
  expect([stranger.mayLogIn('k3f9a2m7qx'), stranger.loginWaitMs('k3f9a2m7qx')]).toEqual([false, 1_000]);
  // Another id, and no id, are not concerned.
  expect([stranger.mayLogIn('aaaaaaaaaa'), stranger.mayLogIn(undefined)]).toEqual([true, true]);
  // Nobody can lock the owner out of the place where its agents run.
  expect(admitted(A).mayLogIn('k3f9a2m7qx')).toBe(true);
  clock.advance(1_001);
  expect(stranger.mayLogIn('k3f9a2m7qx')).toBe(true);
});

test('when there are too many, the oldest of the source that holds the most is reset', () => {
  const {pending, admitted} = setUp({mostBytes: 100 * 4_096});
  const good = admitted(B);
  const flood = Array.from({length: 300}, () => admitted(A));
  expect(pending.bytes).toBeLessThanOrEqual(100 * 4_096);
  expect(pending.count).toBe(100);
  expect(good.over).toBe(false);
  expect([flood[0]?.over, flood[200]?.over, flood[201]?.over]).toEqual([true, true, false]);
});

test('without descriptors the oldest of the heaviest source is reset, and without such a connection a new one is refused', () => {
  const {pending, admitted} = setUp({room: 10});
  const good = admitted(B);
  const flood = Array.from({length: 30}, () => admitted(A));
  expect([pending.count, good.over, flood.filter(({over}) => !over).length]).toEqual([10, false, 9]);
  const none = setUp({room: 0});
  const {socket, connection} = none.connect(A);
  expect([socket.wasReset, connection, none.refused()]).toEqual([true, undefined, 1]);
});

test('bytes of unfinished hellos and handshakes under way count with their memory', () => {
  const {pending, admitted} = setUp({mostBytes: 1_000_000});
  const good = admitted(B);
  for (let i = 0; i < 50; i++) admitted(A).holds(60_000);
  expect(pending.bytes).toBeLessThanOrEqual(1_000_000);
  for (let i = 0; i < 50; i++) handshake(admitted(A), 'visitor');
  expect(pending.bytes).toBeLessThanOrEqual(1_000_000);
  expect([good.over, handshake(good, 'visitor')]).toEqual([false, true]);
});

test('a connection that was reset before it was accepted is not counted', () => {
  const {pending} = setUp();
  expect([pending.admit(new Socket()), pending.count]).toEqual([undefined, 0]);
});

test('an address that is blocked loses its connections at every step, and what another process hands over', () => {
  const blocked = new Set<string>();
  const {pending, connect, admitted, events} = setUp({blocked});
  const [silent, visitor, agent] = [connect(A), connect(A), connect(A)];
  handshake(visitor.connection, 'visitor');
  handshake(agent.connection, 'own');
  agent.connection?.recognise();
  const other = admitted(B);
  blocked.add(A);
  pending.endBlocked();
  expect([silent, visitor, agent].map(({socket}) => socket.wasReset)).toEqual([true, true, true]);
  expect([pending.count, other.over]).toEqual([1, false]);
  const handedOver = new Accepted(A);
  const peer = {address: A, port: 40_000, source: A};
  expect([pending.adopt(handedOver, peer, 0), handedOver.wasReset]).toEqual([undefined, true]);
  expect(events).toEqual([{type: 'turned-away', because: 'blocked', from: A}]);
});

test('everything ends when the relay does', () => {
  const {clock, pending, admitted} = setUp();
  const some = [admitted(A), admitted(B)];
  pending.close();
  expect([some.every(({over}) => over), pending.count, clock.pending]).toEqual([true, 0, 0]);
});

test('an address has only so many handshakes in flight; their end makes room, and other addresses do not notice', () => {
  const {admitted, handshakesRefused} = setUp({mostHandshakes: 2});
  const begin = (address: string) => {
    const connection = admitted(address);
    return {connection, begun: connection.secures('visitor') && connection.mayBegin()};
  };
  const [first, second, third] = [begin('198.51.100.1'), begin('198.51.100.1'), begin('198.51.100.1')];
  expect([first.begun, second.begun, third.begun]).toEqual([true, true, false]);
  expect(third.connection.cut).toBe(true);
  expect(handshakesRefused).toEqual(['198.51.100.1']);
  expect(begin('198.51.100.2').begun).toBe(true);
  first.connection.enter();
  expect(begin('198.51.100.1').begun).toBe(true);
  expect(begin('198.51.100.1').begun).toBe(false);
  second.connection.end();
  expect(begin('198.51.100.1').begun).toBe(true);
});

// Visitors of TCP ports: their tunnel, their waits, and the ports that listen.

import {Socket} from 'node:net';
import {expect, test} from 'vitest';
import {TcpDoor, type TcpDoorOptions} from '../../../../src/lib/relay/doors/tcp-door.js';
import type {LeaseKey} from '../../../../src/lib/relay/leases/lease-store.js';
import type {Tunnel} from '../../../../src/lib/relay/tunnels/tunnel-table.js';

function setUp({
  bound = [] as number[],
  expected = [] as number[],
  held = [] as LeaseKey[],
  isBlocked = (): boolean => false,
} = {}) {
  const tunnels = new Map(bound.map((port) => [port, {port} as Tunnel]));
  const welcomed: (number | undefined)[] = [];
  const waiting = new Map<string, (tunnel: Tunnel) => void>();
  const ports: string[] = [];
  const waitingRoom: TcpDoorOptions['waitingRoom'] = {
    onSettled: () => {},
    wait: (key, _raw, onTunnel) => {
      if (!expected.some((port) => key === `tcp:${port}`)) return false;
      waiting.set(key, onTunnel);
      return true;
    },
  };
  const door = new TcpDoor({
    isBlocked,
    ports: {
      onVisitor: () => {},
      closeAll: () => {},
      includes: (port) => port >= 2_000 && port <= 2_999,
      open: async (port) => {
        ports.push(`open ${port}`);
        return port;
      },
      close: (port) => void ports.push(`close ${port}`),
    },
    tunnels: {ofPort: (port) => tunnels.get(port)},
    visitors: {welcome: (tunnel) => void welcomed.push(tunnel?.port)},
    leases: {expected: held},
    waitingRoom,
  });
  return {door, waitingRoom, welcomed, waiting, ports};
}

/** A connection whose peer is still there. */
function accepted(): Socket {
  return Object.defineProperties(new Socket(), {
    remoteAddress: {value: '127.0.0.2'},
    remotePort: {value: 40_000},
  });
}

test('a visitor that was reset before it was accepted goes to no tunnel', () => {
  const {door, welcomed} = setUp({bound: [2_001]});
  const gone = new Socket();
  door.accept(gone, 2_001);
  expect([welcomed, gone.destroyed]).toEqual([[], true]);
});

test('a visitor goes to the tunnel of the port', () => {
  const {door, welcomed} = setUp({bound: [2_001]});
  door.accept(accepted(), 2_001);
  expect(welcomed).toEqual([2_001]);
});

test('a visitor waits for a tunnel that is expected back, and may leave meanwhile', () => {
  const {door, welcomed, waiting} = setUp({expected: [2_001]});
  const visitor = accepted();
  door.accept(visitor, 2_001);
  expect(welcomed).toEqual([]);
  visitor.emit('error', new Error('ECONNRESET'));
  waiting.get('tcp:2001')?.({port: 2_001} as Tunnel);
  expect(welcomed).toEqual([2_001]);
});

test('a visitor whose address is blocked while it waits goes to no tunnel', () => {
  let isBlocked = false;
  const {door, welcomed, waiting} = setUp({expected: [2_001], isBlocked: () => isBlocked});
  door.accept(accepted(), 2_001);
  isBlocked = true;
  waiting.get('tcp:2001')?.({port: 2_001} as Tunnel);
  expect(welcomed).toEqual([undefined]);
});

test('when no tunnel is expected at the port, a visitor is passed to none', () => {
  const {door, welcomed} = setUp();
  door.accept(accepted(), 2_001);
  expect(welcomed).toEqual([undefined]);
});

test('the ports of expected tunnels listen, if they are still offered', async () => {
  const {door, ports} = setUp({held: ['tcp:2001', 'tls:demo', 'tcp:3000', 'tcp:2002']});
  await door.start();
  expect(ports).toEqual(['open 2001', 'open 2002']);
});

test('ports without waiting visitors are closed', () => {
  const {waitingRoom, ports} = setUp();
  waitingRoom.onSettled(['tcp:2001', 'tls:demo', 'tcp:2002']);
  expect(ports).toEqual(['close 2001', 'close 2002']);
});

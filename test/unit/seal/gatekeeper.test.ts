import {createSocket} from 'node:dgram';
import {once} from 'node:events';
import {connect, createServer, type Socket} from 'node:net';
import {expect, vi} from 'vitest';
import {createLogger} from '../../../src/lib/core/logger.js';
import {Gatekeeper} from '../../../src/lib/seal/gatekeeper.js';
import {MemberNames} from '../../../src/lib/seal/member-network.js';
import type {Scope} from '../../helpers/scope.js';
import {dialAsProgram} from '../../helpers/seal-door.js';
import {test} from '../../helpers/test.js';

test('doors that come after the end are closed: nobody else would, and they keep the process alive', async () => {
  const keeper = new Gatekeeper({
    rules: {kind: 'internet'},
    log: createLogger('seal', undefined),
    onRefused: () => {},
  });
  const door = createServer().listen(0, '127.0.0.1');
  const resolver = createSocket('udp4').bind(0, '127.0.0.1');
  await Promise.all([once(door, 'listening'), once(resolver, 'listening')]);
  keeper.close();
  keeper.addDoor(door);
  keeper.addResolver(resolver);
  expect(door.listening).toBe(false);
  expect(() => resolver.address()).toThrow();
});

const {machine, OWN} = vi.hoisted(() => ({
  machine: {hasDescriptors: true},
  OWN: ['93.184.215.20', '2606:2800:21f::20'],
}));

vi.mock('node:os', async (original) => ({
  ...(await original<object>()),
  networkInterfaces: () => {
    if (machine.hasDescriptors) return {eth0: OWN.map((address) => ({address}))};
    throw new Error('uv_interface_addresses returned EMFILE');
  },
}));

const PUBLIC = '93.184.215.14';

/** A sealed network that may use the internet, and what its resolver and its log say. */
async function sealed(
  scope: Scope,
  {
    found = [PUBLIC, '2606:2800:21f::14'],
    onRefused = () => {},
  }: {found?: string[]; onRefused?: () => void} = {},
) {
  const log: string[] = [];
  const keeper = new Gatekeeper({
    rules: {kind: 'internet'},
    log: createLogger('seal', ({message}) => void log.push(message)),
    onRefused,
    resolve: async () => found,
  });
  scope.onEnd(() => {
    machine.hasDescriptors = true;
    keeper.close();
  });
  const resolver = createSocket('udp4').bind(0, '127.0.0.1');
  const program = createSocket('udp4').bind(0, '127.0.0.1');
  scope.onEnd(() => void program.close());
  await Promise.all([once(resolver, 'listening'), once(program, 'listening')]);
  keeper.addResolver(resolver);
  /** The code of the answer, and how many addresses it has. */
  const lookUp = async (type: number) => {
    const name = [7, ...Buffer.from('example'), 0];
    program.send(
      Buffer.from([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...name, 0, type, 0, 1]),
      resolver.address().port,
    );
    const [answer] = (await once(program, 'message')) as [Buffer];
    return {rcode: (answer[3] ?? 0) & 15, addresses: answer.readUInt16BE(6)};
  };
  return {keeper, log, lookUp};
}

const A = 1;
const AAAA = 28;

test('while the addresses of the machine cannot be read, the last ones hold', async ({scope}) => {
  const {keeper, log, lookUp} = await sealed(scope);
  machine.hasDescriptors = false;
  expect(keeper.datagramTarget(PUBLIC, 443)).toEqual({kind: 'address', address: PUBLIC, port: 443});
  for (const address of OWN) expect(keeper.datagramTarget(address, 443), address).toBeUndefined();
  expect(await lookUp(A)).toEqual({rcode: 0, addresses: 1});
  expect(await lookUp(AAAA)).toEqual({rcode: 0, addresses: 1});
  expect(log).toEqual([]);
});

test('as long as the addresses of the machine have never been known, each address may be one of them', async ({
  scope,
}) => {
  machine.hasDescriptors = false;
  const {keeper, log, lookUp} = await sealed(scope);
  expect(keeper.datagramTarget(PUBLIC, 443)).toBeUndefined();
  expect(await lookUp(A)).toEqual({rcode: 3, addresses: 0});
  expect(log).toEqual([expect.stringContaining('the addresses of this machine cannot be read')]);
  machine.hasDescriptors = true;
  expect(keeper.datagramTarget(PUBLIC, 443)).toMatchObject({kind: 'address'});
});

test('a question whose answer cannot be decided fails, and the resolver goes on', async ({scope}) => {
  const onRefused = () => {
    throw new Error('the listener is broken');
  };
  const {lookUp} = await sealed(scope, {found: ['10.0.0.1'], onRefused});
  expect(await lookUp(A)).toEqual({rcode: 2, addresses: 0});
});

test('the end of a seal does not take what the kernel has from a program that has ended', async ({scope}) => {
  const server = createServer({pauseOnConnect: true});
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const outside = connect({port: await scope.listen(server), host: '127.0.0.1', allowHalfOpen: true});
  const keeper = new Gatekeeper({
    rules: {kind: 'elsewhere'},
    log: createLogger('seal', undefined),
    onRefused: () => {},
    dialOut: async () => outside,
  });
  scope.onEnd(() => keeper.close());
  const program = await dialAsProgram(scope, keeper, {address: PUBLIC, port: 514});
  const all = Buffer.alloc(200_000, 'x');
  program.end(all);
  const [[reader]] = await Promise.all([accepted, once(outside, 'finish')]);
  keeper.close();
  const pieces = await reader.toArray();
  expect(Buffer.concat(pieces)).toHaveLength(all.length);
});

test('a named port of the machine is reached without any way out, until the end of the seal', async ({
  scope,
}) => {
  const port = await scope.listen(createServer((socket) => void socket.on('error', () => {}).write('here')));
  const names = new MemberNames({address: 'fdaa::1', name: 'one', domain: 'x.internal'});
  const keeper = new Gatekeeper({
    rules: {kind: 'none'},
    log: createLogger('seal', undefined),
    onRefused: () => {},
    localPorts: [port],
    member: {names, dial: async () => Promise.reject(new Error('no member is dialled'))},
  });
  const program = await dialAsProgram(scope, keeper, {address: '127.0.0.1', port});
  const [piece] = await once(program, 'data');
  expect(String(piece)).toBe('here');
  const closed = new Promise((resolve) => program.once('close', resolve));
  keeper.close();
  await closed;
  expect(keeper.connections).toBe(0);
});

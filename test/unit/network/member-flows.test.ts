// UDP between two members over real sessions: who sends, what is refused, and what a member can cost that keeps to no rules.
import {once} from 'node:events';
import {connect, createServer} from 'node:net';
import {text} from 'node:stream/consumers';
import {describe, expect} from 'vitest';
import type {Stream} from '../../../src/lib/mux/stream.js';
import {addressText} from '../../../src/lib/net/address-bytes.js';
import {IncomingDatagrams} from '../../../src/lib/network/incoming-datagrams.js';
import {type JoinOptions, joinNetwork, type Membership} from '../../../src/lib/network/membership.js';
import {datagramsToMembers} from '../../../src/lib/network/outgoing-datagrams.js';
import {encodeDatagram} from '../../../src/lib/protocol/datagrams.js';
import type {StreamCode} from '../../../src/lib/protocol/wire.js';
import type {Seal} from '../../../src/lib/seal/seal.js';
import type {WayEnd, WayOut} from '../../../src/lib/seal/udp/flows.js';
import {IncomingFlows} from '../../../src/lib/seal/udp/incoming-flows.js';
import {flowKey, readUdpPacket, reversed, type UdpPacket} from '../../../src/lib/seal/udp/packets.js';
import {MemberHub} from '../../helpers/member-hub.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

const WAYS = [
  {path: 'relay', options: {machine: false}},
  {path: 'machine', options: {}},
  {path: 'direct', options: {machine: false, direct: {host: '127.0.0.1'}}},
] as const;

/** The namespace of a member, as far as UDP goes: programs get packets. */
class Inside {
  readonly packets: UdpPacket[] = [];
  readonly flows: IncomingFlows;
  #changed = (): void => {};
  seal: Pick<Seal, 'udp' | 'takeFlow'> | undefined;

  constructor(address: string) {
    this.flows = new IncomingFlows({
      own: address,
      onPacket: (packet) => {
        const read = readUdpPacket(packet);
        if (read !== undefined) this.packets.push({...read, payload: Buffer.from(read.payload)});
        this.#changed();
      },
      now: () => 0,
    });
    this.seal = {udp: 'carried', takeFlow: (flow, back) => this.flows.enter(flow, back)};
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => (this.#changed = resolve));
  }

  answer(packet: UdpPacket, text: string): boolean {
    return this.flows.answer(flowKey(reversed(packet)), Buffer.from(text));
  }

  get texts(): string[] {
    return this.packets.map(({payload}) => String(payload));
  }
}

interface Flow {
  way: WayOut;
  got: string[];
  /** Resolves with the next answer. */
  next: () => Promise<string>;
  ended: Promise<WayEnd>;
}

async function two(scope: Scope, options: Partial<JoinOptions> = {}, takesUdp = true) {
  const hub = new MemberHub(scope);
  let inside: Inside | undefined;
  const datagrams = new IncomingDatagrams({
    seal: () => inside?.seal,
    allows: (_, port) => port !== 22,
  });
  const member = async (name: string, more: Partial<JoinOptions>) => {
    const joined = await joinNetwork({link: await hub.link(), network: 'lab', name, ...options, ...more});
    scope.onEnd(() => joined.close());
    return joined;
  };
  const server = createServer((socket) => socket.end('TCP'));
  const port = await scope.listen(server);
  const accept = async () => {
    const socket = connect({port, host: '127.0.0.1', allowHalfOpen: true});
    await once(socket, 'connect');
    return socket;
  };
  const trainer = await member('trainer', {accept, ...(takesUdp && {takeFlow: datagrams.take})});
  inside = new Inside(trainer.address);
  const worker = await member('worker', {});
  await new Promise<void>((resolve) => {
    const look = () => worker.members.length === 2 && resolve();
    worker.onMembers(look);
    look();
  });
  return {hub, inside, trainer, worker};
}

function flow(from: Membership, to: Membership, ports: {from: number; port: number}): Flow {
  const got: string[] = [];
  let wake = () => {};
  const {promise: ended, resolve} = Promise.withResolvers<WayEnd>();
  const way = datagramsToMembers(from)(
    {kind: 'member', address: to.address, family: 6, ...ports},
    {
      onDatagram: (datagram) => {
        got.push(String(datagram));
        wake();
      },
      onOpened: () => {},
      onEnded: resolve,
    },
  );
  const next = async () => {
    if (got.length === 0) await new Promise<void>((done) => (wake = done));
    return got.shift() ?? '';
  };
  return {way, got, next, ended};
}

/** A stream of a member that writes what it likes. */
async function raw(from: Membership, to: Membership, ports: {from: number; port: number}) {
  let stream: Stream | undefined;
  const over = Promise.withResolvers<StreamCode | undefined>();
  await from.openFlow({to: to.address, ...ports}, (opened) => {
    stream = opened;
    opened.sink = {
      onData: (piece) => opened.consumed(piece.length),
      onEnd: () => over.resolve(undefined),
      onWritable: () => {},
      onReset: over.resolve,
    };
  });
  return {stream: stream as unknown as Stream, over: over.promise};
}

async function tcp(from: Membership): Promise<string> {
  const connection = await from.connect({to: 'trainer', port: 8000});
  connection.end();
  return await text(connection);
}

describe.each(WAYS)('by $path', ({path, options}) => {
  test('a datagram comes from the sender’s address and port, and its answer goes back', async ({scope}) => {
    const {worker, trainer, inside, hub} = await two(scope, options);
    const {way, next} = flow(worker, trainer, {from: 5_000, port: 7_000});
    way.send(Buffer.from('hello'));
    await inside.until(() => inside.packets.length === 1);
    const [packet] = inside.packets as [UdpPacket];
    expect([addressText(packet.source), packet.sourcePort]).toEqual([worker.address, 5_000]);
    expect([addressText(packet.destination), packet.destinationPort]).toEqual([trainer.address, 7_000]);
    expect(inside.answer(packet, 'answer')).toBe(true);
    expect(await next()).toBe('answer');
    expect(inside.answer({...packet, sourcePort: 5_001}, 'to nobody')).toBe(false);
    expect(hub.opened).toEqual(path === 'relay' ? ['worker trainer 0'] : []);
  });

  test('what is sent last arrives, and the sender hears that it has', async ({scope}) => {
    const {worker, trainer, inside} = await two(scope, options);
    const {way} = flow(worker, trainer, {from: 5_000, port: 7_000});
    way.send(Buffer.from('first'));
    await inside.until(() => inside.packets.length === 1);
    for (let at = 0; at < 500; at += 1) way.send(Buffer.from(String(at)));
    await way.finish();
    expect(inside.texts).toHaveLength(501);
    expect(inside.flows.size).toBe(0);
  });

  test('a port where nobody listens, rules, and a member that is not ready', async ({scope}) => {
    const {worker, trainer, inside} = await two(scope, options);
    const closed = flow(worker, trainer, {from: 5_000, port: 7_001});
    closed.way.send(Buffer.from('x'));
    await inside.until(() => inside.packets.length === 1);
    inside.flows.refuse(flowKey(reversed(inside.packets[0] as UdpPacket)));
    expect(await closed.ended).toEqual({answer: 'port'});
    const forbidden = flow(worker, trainer, {from: 5_000, port: 22});
    expect(await forbidden.ended).toMatchObject({answer: 'forbidden', error: {code: 'NOT_ALLOWED'}});
    inside.seal = {udp: {why: 'There is no /dev/net/tun.', mend: '-'}, takeFlow: () => undefined};
    const without = flow(worker, trainer, {from: 5_000, port: 7_000});
    expect(await without.ended).toMatchObject({
      answer: 'forbidden',
      error: {code: 'MEMBER_UDP', message: 'The member takes no UDP. There is no /dev/net/tun.'},
    });
    inside.seal = undefined;
    expect(await flow(worker, trainer, {from: 5_000, port: 7_000}).ended).toEqual({answer: 'port'});
  });
});

test('a program that has gone ends the flow of the member that answers', async ({scope}) => {
  const {worker, trainer, inside} = await two(scope);
  const {way} = flow(worker, trainer, {from: 5_000, port: 7_000});
  way.send(Buffer.from('x'));
  await inside.until(() => inside.packets.length === 1);
  way.refuse();
  await inside.until(() => inside.flows.size === 0);
});

test.for([true, false])('an echo comes back, with UDP %s', async (takesUdp, {scope}) => {
  const {worker, trainer} = await two(scope, {}, takesUdp);
  const {way, next} = flow(worker, trainer, {from: 77, port: 0});
  for (const text of ['one', 'two']) {
    way.send(Buffer.from(text));
    expect(await next()).toBe(text);
  }
  const many = [];
  for (let at = 0; at < 65; at += 1) many.push(await raw(worker, trainer, {from: 0, port: 0}));
  expect(await many[0]?.over).toBeUndefined();
});

test('flows outlive their path', async ({scope}) => {
  const {worker, trainer, inside, hub} = await two(scope, {machine: false});
  const {way, next} = flow(worker, trainer, {from: 5_000, port: 7_000});
  way.send(Buffer.from('before'));
  await inside.until(() => inside.packets.length === 1);
  for (const duplex of [...hub.joined]) duplex.destroy();
  way.send(Buffer.from('after'));
  await inside.until(() => inside.packets.length === 2);
  inside.answer(inside.packets[1] as UdpPacket, 'back');
  expect(await next()).toBe('back');
  expect(inside.texts).toEqual(['before', 'after']);
});

test('a member without flows says so', async ({scope}) => {
  const {worker, trainer} = await two(scope, {}, false);
  expect(await flow(worker, trainer, {from: 5_000, port: 7_000}).ended).toMatchObject({
    answer: 'forbidden',
    error: {code: 'MEMBER_UDP', message: expect.stringContaining('only serves ports of its machine')},
  });
});

describe('a member that keeps to no rules', () => {
  test('loses the flow by what cannot be read, and not the session', async ({scope}) => {
    const {worker, trainer, inside} = await two(scope);
    const {stream, over} = await raw(worker, trainer, {from: 1, port: 7_000});
    stream.write(encodeDatagram(Buffer.from('good')));
    stream.write(Buffer.of(0xff, 0xff, 1, 2, 3));
    expect(await over).toBe('CANCELLED');
    expect(inside.texts).toEqual(['good']);
    expect(inside.flows.size).toBe(0);
    for (const ports of [
      {from: 0, port: 7_000},
      {from: 1, port: -1},
      {from: 1, port: 65_536},
      {from: 1.5, port: 7_000},
      {from: '1' as unknown as number, port: 7_000},
    ])
      expect(await (await raw(worker, trainer, ports)).over).toBe('CANCELLED');
    expect(await tcp(worker)).toBe('TCP');
  });

  test('has 1,024 flows at the most, and its oldest give way to others', async ({scope}) => {
    const {worker, trainer, inside} = await two(scope);
    const all = [];
    for (let from = 1; from <= 1_030; from += 1) {
      const opened = await raw(worker, trainer, {from, port: 7_000});
      opened.stream.write(encodeDatagram(Buffer.from(String(from))));
      all.push(opened);
    }
    for (const {over} of all.slice(0, 6)) expect(await over).toBeUndefined();
    await inside.until(() => inside.texts.includes('1030'));
    expect(inside.flows.size).toBe(1_024);
    expect(await tcp(worker)).toBe('TCP');
  });

  test('and does not read answers holds a bounded part of the room, and others have theirs', async ({
    scope,
  }) => {
    const {worker, trainer, inside} = await two(scope);
    const {stream} = await raw(worker, trainer, {from: 1, port: 7_000});
    stream.sink.onData = () => {};
    stream.write(encodeDatagram(Buffer.from('x')));
    await inside.until(() => inside.packets.length === 1);
    const big = 'x'.repeat(60_000);
    for (let at = 0; at < 400; at += 1) inside.answer(inside.packets[0] as UdpPacket, big);
    const {way, next} = flow(worker, trainer, {from: 2, port: 7_000});
    way.send(Buffer.from('y'));
    await inside.until(() => inside.packets.length === 2);
    inside.answer(inside.packets[1] as UdpPacket, 'answer');
    expect(await next()).toBe('answer');
  });

  test('takes the place of its own flow when it begins it again', async ({scope}) => {
    const {worker, trainer, inside} = await two(scope);
    const first = await raw(worker, trainer, {from: 1, port: 7_000});
    first.stream.write(encodeDatagram(Buffer.from('one')));
    await inside.until(() => inside.packets.length === 1);
    const second = flow(worker, trainer, {from: 1, port: 7_000});
    second.way.send(Buffer.from('two'));
    expect(await first.over).toBeUndefined();
    await inside.until(() => inside.packets.length === 2);
    inside.answer(inside.packets[1] as UdpPacket, 'answer');
    expect(await second.next()).toBe('answer');
    expect(inside.flows.size).toBe(1);
  });
});

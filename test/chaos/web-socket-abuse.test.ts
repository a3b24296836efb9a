// WebSocket frames that no agent sends, on the agents' port: the relay closes with the right code and keeps hardly any
// memory.
import {once} from 'node:events';
import {expect} from 'vitest';
import {MiB} from '../helpers/bytes.js';
import {atLeast, atMost} from '../helpers/metric.js';
import {frame as frameType, record, recordBytes} from '../helpers/raw-agent.js';
import type {RelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream, type Recording, record as watch} from '../helpers/upstreams.js';
import {tlsVisitor} from '../helpers/visitors.js';
import {closeBody, frame} from '../helpers/ws-bytes.js';
import {domain, inspect, sized, startRig} from './rig.js';

const mask = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);
const empty = frame({opcode: 0, fin: false, mask});
const emptyFragments = (count: number) =>
  Buffer.concat([frame({fin: false, mask}), ...Array<Buffer>(count).fill(empty)]);

const abuses: [what: string, code: number, bytes: Buffer][] = [
  ['2^63 bytes', 1009, frame({claims: 2n ** 63n, mask})],
  ['2^64 - 1 bytes', 1009, frame({claims: 2n ** 64n - 1n, mask})],
  ['2^53 bytes', 1009, frame({claims: 2n ** 53n, mask})],
  ['17 MiB', 1009, frame({claims: 17 * MiB, mask})],
  ['empty fragments', 1002, emptyFragments(1_000)],
  ['empty messages', 1002, Buffer.concat(Array<Buffer>(1_000).fill(frame({mask})))],
  ['text', 1003, frame({opcode: 1, payload: 'hello', mask})],
  ['text that is not UTF-8', 1003, frame({opcode: 1, payload: Buffer.from([0xc3, 0x28]), mask})],
  ['a reason that is not UTF-8', 1007, frame({opcode: 8, payload: closeBody(1000, Buffer.of(0xff)), mask})],
  ['no mask', 1002, frame({payload: 'x'})],
  ['a reserved bit', 1002, frame({payload: 'x', rsv: 4, mask})],
  ['a reserved opcode', 1002, frame({opcode: 3, mask})],
  ['a continuation without a message', 1002, frame({opcode: 0, payload: 'x', mask})],
  ['a long ping', 1002, frame({opcode: 9, payload: Buffer.alloc(126), mask})],
  ['a ping in fragments', 1002, frame({opcode: 9, fin: false, mask})],
  ['a close of one byte', 1002, frame({opcode: 8, payload: 'x', mask})],
];

/** An upgraded connection after the answer: everything that follows is frames of the relay. */
async function upgraded(scope: Scope, relay: RelayProcess, from?: string): Promise<Recording> {
  const socket = await tlsVisitor(scope, {host: domain, port: relay.port}, {caFile: relay.caFile, from});
  const lines = [
    'GET /agent HTTP/1.1',
    `Host: ${new URL(relay.url).host}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Protocol: tunl.v1',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    `Authorization: Bearer ${relay.token}`,
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  const watched = watch(socket);
  await watched.received(20);
  expect(watched.data().toString('latin1')).toContain('101 Switching Protocols');
  return watched;
}

/** The code of the close frame in the relay's bytes. */
function closeCode(said: Buffer): number | undefined {
  let at = said.indexOf('\r\n\r\n') + 4;
  while (at + 2 <= said.length) {
    const short = (said[at + 1] ?? 0) & 0x7f;
    const head = short === 126 ? 4 : short === 127 ? 10 : 2;
    const length = short === 126 ? said.readUInt16BE(at + 2) : short;
    if (((said[at] ?? 0) & 0x0f) === 8) return said.readUInt16BE(at + head);
    at += head + length;
  }
  return undefined;
}

test('each is closed with its code', async ({scope}) => {
  const {relay} = await startRig(scope);
  let right = 0;
  for (const [what, code, bytes] of abuses) {
    const abuser = await upgraded(scope, relay);
    abuser.socket.write(bytes);
    await Promise.race([abuser.ended, abuser.closed]);
    expect.soft(closeCode(abuser.data()), what).toBe(code);
    right += closeCode(abuser.data()) === code ? 1 : 0;
    abuser.socket.destroy();
  }
  expect(atLeast('WebSocket abuse', 'kinds closed with their code', right, abuses.length)).toBe(true);
  expect(relay.cli.exit).toBeUndefined();
});

test('a million empty fragments, and frames that never end, use hardly any memory', async ({scope}) => {
  const rig = await startRig(scope);
  const {ready} = await rig.expose(await echoUpstream(scope));
  const {host, port} = ready.tls ?? {host: '', port: 0};
  const greet = async () => {
    const visitor = await tlsVisitor(scope, {host, port}, {caFile: rig.caFile});
    visitor.write('hello');
    expect(String((await once(visitor, 'data'))[0])).toBe('hello');
    visitor.destroy();
  };
  const held = async () => {
    const {heapUsed, external} = await inspect(rig.relay.cli);
    return heapUsed + external;
  };
  await greet();
  // The first upgrade allocates some things once; they do not count.
  (await upgraded(scope, rig.relay)).socket.destroy();
  let before = await held();
  const fragments = await upgraded(scope, rig.relay);
  fragments.socket.write(emptyFragments(1_000_000));
  await Promise.race([fragments.ended, fragments.closed]);
  fragments.socket.destroy();
  await greet();
  const kept = (await held()) - before;
  expect(atMost('1,000,000 empty fragments', 'bytes that the relay keeps', kept, MiB)).toBe(true);

  const many = sized(30, 200);
  before = await held();
  const unfinished = [
    frame({payload: recordBytes(record.message, Buffer.alloc(15_000, 0x20), 16_000), mask, claims: 16_004}),
    frame({payload: recordBytes(record.segment, Buffer.alloc(200_000), 256 * 1024), fin: false, mask}),
    frame({claims: 16 * MiB, form: 64, mask}).subarray(0, 13),
    frame({
      payload: recordBytes(record.segment, Buffer.from([frameType.control, 0, 0xff, 0xff]), 65_000),
      fin: false,
      mask,
    }),
  ];
  for (let i = 0; i < many; i += 1) {
    const abuser = await upgraded(scope, rig.relay, '127.0.0.2');
    abuser.socket.write(unfinished[i % unfinished.length] ?? Buffer.alloc(0));
  }
  await greet();
  const each = ((await held()) - before) / many;
  expect(atMost(`${many} unfinished frames`, 'bytes that the relay holds for each', each, MiB)).toBe(true);
  expect(rig.relay.cli.exit).toBeUndefined();
});

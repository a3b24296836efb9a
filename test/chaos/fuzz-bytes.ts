// The bytes of the fuzz: HTTP requests, link messages, records and frames, right and wrong ones, from a seed.
import {count4, count8, frame, frameBytes, record, recordBytes} from '../helpers/raw-agent.js';
import type {Random} from '../mux/fuzz.js';

const JUNK = Buffer.from(Array.from({length: 4096}, (_, i) => (i * 167 + (i >> 3)) & 0xff));

export function junk(random: Random, most: number): Buffer {
  const length = random.below(most);
  const at = random.below(JUNK.length);
  return Buffer.concat(Array.from({length: 1 + Math.ceil(length / JUNK.length)}, () => JUNK)).subarray(
    at,
    at + length,
  );
}

export function mutated(random: Random, bytes: Buffer): Buffer {
  if (bytes.length === 0) return bytes;
  const copy = Buffer.from(bytes);
  const at = random.below(copy.length);
  switch (random.below(6)) {
    case 0:
      copy[at] = random.below(256);
      return copy;
    case 1:
      copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
      return copy;
    case 2:
      return copy.subarray(0, at);
    case 3:
      return Buffer.concat([copy.subarray(0, at), junk(random, 60), copy.subarray(at)]);
    case 4:
      return Buffer.concat([copy, copy.subarray(at)]);
    default:
      copy.fill(random.below(256), at, Math.min(copy.length, at + random.below(40)));
      return copy;
  }
}

const METHODS = ['GET', 'POST', 'PUT', 'OPTIONS', 'CONNECT', 'PRI', 'get', '__proto__', ''];
const HEADERS = ['Host', 'Upgrade', 'Connection', 'Content-Length', 'Transfer-Encoding', 'Sec-WebSocket-Key'];
const MORE_HEADERS = [
  'Sec-WebSocket-Version',
  'Sec-WebSocket-Protocol',
  'Authorization',
  'Expect',
  '__proto__',
  'Origin',
];
const VALUES = [
  'websocket',
  'Upgrade',
  'chunked',
  '5',
  '-1',
  '99999999999999999999',
  '13',
  'tunl.v1',
  '100-continue',
];

export interface RequestNames {
  domain: string;
  host: string;
  token: string;
}

/** An HTTP request to the relay's own site or to a tunnel, perhaps with a body. */
export function request(random: Random, {domain, host, token}: RequestNames): Buffer {
  const path = random.of([
    '/',
    '/agent',
    '/healthz',
    '/%00',
    '//',
    '*',
    `/${'a'.repeat(random.below(20_000))}`,
  ]);
  const headers = [`Host: ${random.of([domain, host, 'constructor', '', '[::1', `${'x.'.repeat(200)}y`])}`];
  if (random.oneIn(2)) {
    headers.push('Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13');
    headers.push('Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==', 'Sec-WebSocket-Protocol: tunl.v1');
    headers.push(`Authorization: Bearer ${random.oneIn(2) ? token : 'wrong-wrong-wrong-wrong'}`);
  }
  while (random.oneIn(2)) headers.push(`${random.of([...HEADERS, ...MORE_HEADERS])}: ${random.of(VALUES)}`);
  const text = `${random.of(METHODS)} ${path} HTTP/${random.of(['1.1', '1.0', '2.0', '9'])}\r\n${headers.join('\r\n')}\r\n\r\n`;
  const body = random.oneIn(2) ? junk(random, 3_000) : Buffer.alloc(0);
  const bytes = Buffer.concat([Buffer.from(text), body]);
  return random.oneIn(3) ? mutated(random, bytes) : bytes;
}

/** JSON of a message with something wrong in it. */
function wrongly(random: Random, message: Record<string, unknown>): Buffer {
  const copy: Record<string, unknown> = {...message};
  const field = random.of(Object.keys(copy));
  const values = [
    undefined,
    null,
    -1,
    2 ** 60,
    '',
    'x'.repeat(5_000),
    [],
    {},
    true,
    '\u0000',
    'ff'.repeat(32),
  ];
  copy[field] = random.of(values);
  const bytes = Buffer.from(JSON.stringify(copy));
  return random.oneIn(3) ? mutated(random, bytes) : bytes;
}

const hex = (random: Random, bytes: number) =>
  Buffer.from(Array.from({length: bytes}, () => random.below(256))).toString('hex');

/** A link message of either side, perhaps with something wrong in it. */
export function linkMessage(random: Random): Buffer {
  const message = random.of<Record<string, unknown>>([
    {type: 'hello', software: 'fuzz', nonce: hex(random, 16)},
    {
      ...{type: 'hello', software: 'fuzz', nonce: hex(random, 16)},
      resume: {
        id: hex(random, 16),
        epoch: 1 + random.below(9),
        received: random.below(9),
        proof: hex(random, 32),
      },
    },
    {type: 'challenge', protocol: 1, software: 'fuzz', nonce: hex(random, 16)},
    {
      type: 'welcome',
      id: hex(random, 16),
      epoch: 1,
      received: 0,
      resumeWindowMs: 2_000,
      secret: hex(random, 32),
    },
    {type: 'refused', code: 'RELAY_BUSY', message: 'fuzz', retryAfterMs: random.below(100)},
    {type: 'goaway', message: 'fuzz', afterMs: random.below(100), relays: []},
    {type: 'close', code: random.of(['CLOSED', 'PROTOCOL', 'x']), message: 'fuzz'},
  ]);
  const bytes = random.oneIn(2) ? wrongly(random, message) : Buffer.from(JSON.stringify(message));
  return recordBytes(record.message, bytes);
}

function controlMessage(random: Random): Buffer {
  const message = random.of<Record<string, unknown>>([
    {type: 'bind', request: 1 + random.below(5), wish: {kind: 'tcp'}},
    {type: 'bind', request: 1 + random.below(5), wish: {kind: 'tls', h2: false}},
    {
      type: 'bind',
      request: 1 + random.below(5),
      wish: {kind: 'tls', h2: true, name: random.of(['a', 'fuzz', '__proto__', 'good'])},
    },
    {
      type: 'bind',
      request: 1,
      wish: {kind: 'tcp', port: random.below(70_000)},
      holder: hex(random, 16),
      epoch: random.below(5),
    },
    {type: 'unbind', tunnel: 1 + random.below(3)},
  ]);
  return random.oneIn(3) ? wrongly(random, message) : Buffer.from(JSON.stringify(message));
}

/** A frame of either side, perhaps a malformed one. */
export function anyFrame(random: Random, nextId: () => number): Buffer {
  const stream = random.of([0, 1, 2, 3, 4, 5, nextId(), 2 ** 48 - 1]);
  switch (random.below(12)) {
    case 0:
    case 1:
    case 2:
      return frameBytes(frame.control, 0, controlMessage(random));
    case 3:
      return frameBytes(
        frame.open,
        nextId(),
        Buffer.concat([Buffer.from([random.below(4)]), junk(random, 100)]),
      );
    case 4:
      return frameBytes(frame.data, stream, junk(random, random.oneIn(10) ? 200_000 : 500));
    case 5:
      return frameBytes(frame.credit, stream, count4(random.of([1, 1_000, 2 ** 31, 2 ** 32 - 1])));
    case 6:
      return frameBytes(frame.opened, stream);
    case 7:
      return frameBytes(frame.fin, stream);
    case 8:
      return frameBytes(frame.reset, stream, JSON.stringify({code: random.of(['CANCELLED', 'X', ''])}));
    case 9:
      return frameBytes(frame.refused, stream, JSON.stringify({code: 'UPSTREAM_REFUSED'}));
    case 10:
      return frameBytes(random.below(256), stream, junk(random, 50));
    default:
      return frameBytes(
        random.of(Object.values(frame)),
        stream,
        junk(random, 50),
        random.oneIn(5) ? random.below(2 ** 24) : undefined,
      );
  }
}

/** A record of either side. A correct acknowledgement says `received`. */
export function anyRecord(random: Random, received: number): Buffer {
  switch (random.below(8)) {
    case 0:
      return recordBytes(record.ack, count8(random.of([0, received, received + 1, 2 ** 40])));
    case 1:
      return recordBytes(record.ping, random.oneIn(9) ? count4(1) : count8(random.below(1_000)));
    case 2:
      return recordBytes(record.pong, count8(random.below(1_000)));
    case 3:
      return linkMessage(random);
    case 4:
      return recordBytes(random.below(256), junk(random, 100));
    case 5:
      return mutated(random, linkMessage(random));
    default:
      return recordBytes(record.ack, count8(received));
  }
}

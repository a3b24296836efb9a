import {readFileSync, writeFileSync} from 'node:fs';
import {describe, expect, test} from 'vitest';
import {MAX_RECORD_BYTES} from '../../../src/lib/carrier/encrypted-carrier.js';
import {SUBPROTOCOL} from '../../../src/lib/carrier/handshake.js';
import {MAX_CONTROL_FRAMES, MAX_EMPTY_FRAMES, MAX_MESSAGE_BYTES} from '../../../src/lib/carrier/ws-frames.js';
import {isErrorCode} from '../../../src/lib/core/errors.js';
import {
  encodeMessage,
  parseAgentMessage,
  parseRelayMessage,
  parseServiceOpen,
  parseVisitorOpen,
} from '../../../src/lib/protocol/control-messages.js';
import {MalformedMessage} from '../../../src/lib/protocol/fields.js';
import {parseLinkMessage} from '../../../src/lib/protocol/link-messages.js';
import {
  AGENT_PATH,
  FRAME,
  frameLimit,
  KIND,
  LIMITS,
  PROTOCOL_VERSION,
  RECORD,
  recordLimit,
  STREAM_CODES,
  shortestFrame,
  shortestRecord,
  VIOLATION_CODES,
} from '../../../src/lib/protocol/wire.js';
import {example, statesTable, workedIdentity, workedProofs} from './generated.js';

const PATH = new URL('../../../docs/protocol.md', import.meta.url);
const text = readFileSync(PATH, 'utf8');

/** The cells of all table rows. */
const rows = text
  .split('\n')
  .filter((line) => line.startsWith('|'))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );

const rowOf = (first: string) => rows.find(([cell]) => cell === first);
const number = (cell: string | undefined) => Number(cell?.replaceAll(',', '').replace(/ .*$/, ''));

const range = (least: number, most: number) =>
  least === most ? String(least) : `${least}–${most.toLocaleString('en')}`;
const hex = (type: number) => `0x${type.toString(16).padStart(2, '0')}`;

describe('docs/protocol.md', () => {
  test.each(Object.entries(RECORD))('has the record %s with its number and limits', (name, type) => {
    const lengths = range(shortestRecord(type), recordLimit(type) as number);
    expect(rowOf(hex(type))?.slice(1, 3)).toEqual([name.toUpperCase(), lengths]);
  });

  test.each(Object.entries(FRAME))('has the frame %s with its number and limits', (name, type) => {
    const lengths = range(shortestFrame(type), frameLimit(type) as number);
    expect(rowOf(hex(type))?.slice(1, 3)).toEqual([name.toUpperCase(), lengths]);
  });

  test('has no other records and frames', () => {
    const types: number[] = [...Object.values(RECORD), ...Object.values(FRAME)];
    const listed = rows.map(([cell]) => cell ?? '').filter((cell) => /^0x/.test(cell));
    expect(listed.map(Number).sort()).toEqual(types.sort());
  });

  test('has all kinds of stream and no others', () => {
    const kinds = rows.filter(([cell]) => /^\d$/.test(cell ?? ''));
    expect(kinds.map(([kind, name]) => [name, Number(kind)])).toEqual(Object.entries(KIND));
  });

  test('has all codes of REFUSED and RESET and no others', () => {
    const section = text.slice(text.indexOf('The codes of REFUSED'), text.indexOf('## 5.'));
    expect([...section.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, code]) => code)).toEqual([...STREAM_CODES]);
  });

  test('has all codes of `close`: those of the relay, and of violations', () => {
    const source = readFileSync(new URL('../../../src/lib/mux/close-error.ts', import.meta.url), 'utf8');
    const [, line = ''] = /^Codes of `close`: (.*)$/m.exec(text) ?? [];
    const listed = [...line.matchAll(/`([A-Z_]+)`/g)].map(([, code]) => code);
    const read = [...source.matchAll(/case '([A-Z_]+)'/g)].map(([, code]) => code);
    // The default case has the reason of a relay that waited too long.
    expect(listed.sort()).toEqual([...read, 'RELAY_TIMEOUT'].sort());
    const table = text.slice(text.indexOf('| Code | Violation |'), text.indexOf('## 10.'));
    const violations = [...table.matchAll(/^\| `([A-Z_]+)` \|/gm)].map(([, code]) => code);
    expect(violations.sort()).toEqual([...VIOLATION_CODES].sort());
  });

  test('has the longest record between members', () => {
    expect(text).toContain(`ciphertext, 1 to ${MAX_RECORD_BYTES.toLocaleString('en')} bytes`);
  });

  test('names only existing codes', () => {
    const known = (code: string) => isErrorCode(code) || (STREAM_CODES as readonly string[]).includes(code);
    const named = [...text.matchAll(/`([A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+)`/g)].map(([, code]) => code as string);
    expect(named.length).toBeGreaterThan(30);
    expect(named.filter((code) => !known(code))).toEqual([]);
  });

  test('has all codes that refuse a bind, and no others', () => {
    const read = (path: string) => readFileSync(new URL(`../../../src/lib/${path}`, import.meta.url), 'utf8');
    const made = [
      'relay/tunnels/tunnel-table.ts',
      'relay/tunnels/refused-claims.ts',
      'relay/access/tunnel-rights.ts',
      'relay/agents/binds.ts',
      'protocol/names.ts',
      'net/address-ranges.ts',
    ].flatMap((path) =>
      [...read(path).matchAll(/(?:TunlError\(|errorForPeer\(|code: )'([A-Z][A-Z0-9_]+)'/g)].map(
        ([, code]) => code,
      ),
    );
    // For all other errors.
    const all = new Set([...made, 'BIND_REFUSED']);
    const listed = rowOf('`bind-refused`')?.[2] ?? '';
    expect([...listed.matchAll(/`([A-Z0-9_]+)`/g)].map(([, code]) => code).sort()).toEqual([...all].sort());
  });

  const wish = (fields: object) => ({type: 'bind', request: 1, wish: fields});
  const bound = {type: 'bound', request: 1, tunnel: 1, epoch: 1, host: 'x', port: 1};
  const visitor = {tunnel: 1, via: 'tcp', address: '::1', port: 1};
  const nonce = '0'.repeat(32);
  const hello = {type: 'hello', software: '', nonce};
  const welcome = {type: 'welcome', id: nonce, epoch: 1, received: 0};
  const letters = (count: number) => 'x'.repeat(count);
  const labels = (length: number) => `${'x.'.repeat(length)}`.slice(0, length - 1).concat('x');

  test.each<[string, string, (payload: Buffer) => object, unknown, unknown]>([
    [
      '`protocol`',
      '1–1,000,000',
      parseLinkMessage,
      {type: 'challenge', protocol: 1_000_000, software: '', nonce},
      {type: 'challenge', protocol: 1_000_001, software: '', nonce},
    ],
    [
      '`identify`',
      '255 characters',
      parseLinkMessage,
      {type: 'challenge', protocol: 1, software: '', nonce, identify: letters(255)},
      {type: 'challenge', protocol: 1, software: '', nonce, identify: letters(256)},
    ],
    [
      '`identity.key`, `identity.signature`',
      '200 characters each',
      parseLinkMessage,
      {...hello, identity: {key: letters(200), signature: letters(200)}},
      {...hello, identity: {key: letters(200), signature: letters(201)}},
    ],
    [
      '`features`',
      '32 names of 40 characters',
      parseLinkMessage,
      {...hello, features: Array.from({length: 32}, () => letters(40))},
      {...hello, features: Array.from({length: 33}, () => letters(40))},
    ],
    [
      '`features`',
      '32 names of 40 characters',
      parseLinkMessage,
      {type: 'challenge', protocol: 1, software: '', nonce, features: [letters(40)]},
      {type: 'challenge', protocol: 1, software: '', nonce, features: [letters(41)]},
    ],
    [
      '`service` of an OPEN',
      '40 characters',
      parseServiceOpen,
      {service: letters(40)},
      {service: letters(41)},
    ],
    [
      '`code`',
      '40 characters',
      parseLinkMessage,
      {type: 'close', code: letters(40), message: ''},
      {type: 'close', code: letters(41), message: ''},
    ],
    [
      '`resumeWindowMs`',
      '0–3,600,000',
      parseLinkMessage,
      {...welcome, resumeWindowMs: 3_600_000},
      {...welcome, resumeWindowMs: 3_600_001},
    ],
    [
      '`retryAfterMs`, `afterMs`',
      '0–86,400,000',
      parseLinkMessage,
      {type: 'goaway', message: '', afterMs: 86_400_000},
      {type: 'goaway', message: '', afterMs: 86_400_001},
    ],
    [
      '`cidr.allow`, `cidr.deny`',
      '64 texts of 64 characters each',
      parseAgentMessage,
      wish({kind: 'tls', cidr: {allow: Array(64).fill(letters(64)), deny: [letters(64)]}}),
      wish({kind: 'tcp', cidr: {allow: Array(65).fill('::')}}),
    ],
    [
      '`cidr.allow`, `cidr.deny`',
      '64 texts of 64 characters each',
      parseAgentMessage,
      {type: 'restrict', tunnel: 1, cidr: {deny: [letters(64)]}},
      {type: 'restrict', tunnel: 1, cidr: {deny: [letters(65)]}},
    ],
    [
      '`wish.name`',
      '1,000 characters',
      parseAgentMessage,
      wish({kind: 'tls', name: letters(1_000)}),
      wish({kind: 'tls', name: letters(1_001)}),
    ],
    [
      '`wish.port`',
      '0–2³¹',
      parseAgentMessage,
      wish({kind: 'tcp', port: 2 ** 31}),
      wish({kind: 'tcp', port: 2 ** 31 + 1}),
    ],
    [
      '`wish.prefer`',
      '63 characters, or 1–65,535',
      parseAgentMessage,
      wish({kind: 'tls', prefer: letters(63)}),
      wish({kind: 'tls', prefer: letters(64)}),
    ],
    [
      '`bound.host`',
      '255 characters; a DNS name in ASCII',
      parseRelayMessage,
      {...bound, host: labels(253)},
      {...bound, host: labels(257)},
    ],
    ['`bound.port`', '1–65,535', parseRelayMessage, {...bound, port: 65_535}, {...bound, port: 65_536}],
    [
      '`address`, `alpn` of an OPEN',
      '64 and 32 characters',
      parseVisitorOpen,
      {...visitor, address: letters(64), alpn: letters(32)},
      {...visitor, alpn: letters(33)},
    ],
    ['`port` of an OPEN', '0–65,535', parseVisitorOpen, {...visitor, port: 0}, {...visitor, port: -1}],
  ])('has the limit of the field %s', (name, says, parse, most, more) => {
    expect(rowOf(name)?.[1]).toMatch(new RegExp(`^${says}`));
    parse(encodeMessage(most as object));
    expect(() => parse(encodeMessage(more as object))).toThrow(MalformedMessage);
  });

  test.each<[string, number]>([
    ['payload of a SEGMENT', LIMITS.segmentBytes],
    ['payload of a MESSAGE', LIMITS.messageBytes],
    ['payload of DATA', LIMITS.dataBytes],
    ['payload of OPEN, REFUSED, RESET', LIMITS.openBytes],
    ['payload of CONTROL', LIMITS.controlBytes],
    ['first window of a stream, each way', LIMITS.initialWindow],
    ['largest window that tunl grows to', LIMITS.maxWindow],
    ['credit outstanding', LIMITS.maxCredit],
    ['streams open at once', LIMITS.streams],
    ['largest stream id', LIMITS.maxStreamId],
    ['unacknowledged bytes before an ACK', LIMITS.ackBytes],
    ['time before an ACK', LIMITS.ackDelayMs],
    ['text for people', LIMITS.textCharacters],
  ])('has the limit: %s', (name, value) => {
    expect(number(rowOf(name)?.[1])).toBe(value);
  });

  test('has all limits', () => {
    const from = text.indexOf('## 10.');
    const listed = text
      .slice(from, text.indexOf('\n\n| | |\n|---|---|\n| silence', from))
      .match(/^\| [a-z].* \|$/gm);
    expect(listed).toHaveLength(Object.keys(LIMITS).length);
  });

  test('says where and how to upgrade', () => {
    expect(text).toContain(`GET ${AGENT_PATH} HTTP/1.1`);
    expect(text).toContain(`Sec-WebSocket-Protocol: ${SUBPROTOCOL}\n`);
    expect(text).toContain(`"protocol":${PROTOCOL_VERSION},`);
    expect(text).toContain(`# The protocol between agent and relay, version ${PROTOCOL_VERSION}\n`);
    expect(text).toContain(`a message over ${MAX_MESSAGE_BYTES / 2 ** 20} MiB`);
    expect(text.replaceAll('\n', ' ')).toContain(`more than ${MAX_EMPTY_FRAMES} empty data frames in a row`);
    expect(text).toContain(`more than ${MAX_CONTROL_FRAMES} control frames`);
  });

  const generated: [string, () => string | Promise<string>][] = [
    ['states', statesTable],
    ['identity', workedIdentity],
    ['proofs', workedProofs],
    ['example', example],
  ];

  test.each(generated)('has the %s that the code makes (UPDATE_DOCS=1 writes them)', async (name, make) => {
    const [begin, end] = [`<!-- ${name}: begin -->\n`, `\n<!-- ${name}: end -->`];
    const now = readFileSync(PATH, 'utf8');
    const from = now.indexOf(begin) + begin.length;
    const upTo = now.indexOf(end.trimStart());
    const made = await make();
    if (process.env.UPDATE_DOCS === '1')
      writeFileSync(PATH, `${now.slice(0, from)}${made}${end}${now.slice(upTo + end.length - 1)}`);
    expect(readFileSync(PATH, 'utf8').slice(from).split(end)[0]).toBe(made);
  });
});

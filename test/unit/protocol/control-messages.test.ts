import fc from 'fast-check';
import {describe, expect, test} from 'vitest';
import {
  type AgentMessage,
  encodeMessage,
  parseAgentMessage,
  parseRelayMessage,
  parseVisitorOpen,
  type RelayMessage,
  readStreamCode,
  type VisitorOpen,
} from '../../../src/lib/protocol/control-messages.js';
import {MalformedMessage} from '../../../src/lib/protocol/fields.js';
import {LIMITS, STREAM_CODES} from '../../../src/lib/protocol/wire.js';
import {mangled, optionally, plainText} from './arbitraries.js';

const id = fc.integer({min: 1, max: 2 ** 31});
const port = fc.integer({min: 1, max: 65_535});

const mark = fc.stringMatching(/^[0-9a-f]{32}$/);
/** The fields of a bind that identify the agent. */
const claimant = fc
  .tuple(optionally('holder', mark), optionally('epoch', fc.integer({min: 1})))
  .map(([holder, epoch]) => ({...holder, ...epoch}));

const ranges = fc.array(plainText(64), {maxLength: 64});
const rules = fc
  .tuple(optionally('allow', ranges), optionally('deny', ranges))
  .map(([allow, deny]) => ({...allow, ...deny}));

const agentMessages: fc.Arbitrary<AgentMessage> = fc.oneof(
  fc
    .tuple(
      id,
      fc.boolean(),
      optionally('name', plainText(1000)),
      optionally('prefer', plainText(63)),
      claimant,
      optionally('cidr', rules),
    )
    .map(([request, h2, name, prefer, by, cidr]) => ({
      type: 'bind' as const,
      request,
      wish: {kind: 'tls' as const, h2, ...name, ...prefer, ...cidr},
      ...by,
    })),
  fc
    .tuple(
      id,
      optionally('port', fc.integer({min: 0, max: 2 ** 31})),
      optionally('prefer', port),
      claimant,
      optionally('cidr', rules),
    )
    .map(([request, asked, prefer, by, cidr]) => ({
      type: 'bind' as const,
      request,
      wish: {kind: 'tcp' as const, ...asked, ...prefer, ...cidr},
      ...by,
    })),
  id.map((tunnel) => ({type: 'unbind' as const, tunnel})),
  fc.tuple(id, rules).map(([tunnel, cidr]) => ({type: 'restrict' as const, tunnel, cidr})),
);

const relayMessages: fc.Arbitrary<RelayMessage> = fc.oneof(
  fc.record({
    type: fc.constant('bound' as const),
    request: id,
    tunnel: id,
    epoch: fc.integer({min: 1, max: Number.MAX_SAFE_INTEGER}),
    host: fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6()),
    port,
  }),
  fc.record({
    type: fc.constant('bind-refused' as const),
    request: id,
    code: plainText(40),
    message: plainText(500),
  }),
  fc.record({
    type: fc.constant('unbound' as const),
    tunnel: id,
    code: plainText(40),
    message: plainText(500),
  }),
);

const visitorOpens: fc.Arbitrary<VisitorOpen> = fc
  .tuple(
    fc.record({
      tunnel: id,
      via: fc.constantFrom('tls' as const, 'tcp' as const),
      address: fc.oneof(fc.ipV4(), fc.ipV6()),
      port: fc.integer({min: 0, max: 65_535}),
    }),
    optionally('alpn', plainText(32)),
  )
  .map(([open, alpn]) => ({...open, ...alpn}));

describe.each([
  ['of the agent', agentMessages, parseAgentMessage, LIMITS.controlBytes],
  ['of the relay', relayMessages, parseRelayMessage, LIMITS.controlBytes],
  ['in an OPEN', visitorOpens, parseVisitorOpen, LIMITS.openBytes - 1],
] as const)('a message %s', (_whose, messages, parse: (payload: Buffer) => object, limit) => {
  test('is unchanged after encoding and parsing, and fits into its frame', () => {
    fc.assert(
      fc.property(messages as fc.Arbitrary<object>, (message) => {
        const bytes = encodeMessage(message);
        expect(parse(bytes)).toEqual(message);
        expect(bytes.length).toBeLessThanOrEqual(limit);
      }),
    );
  });

  test('is either parsed or refused as malformed, for any JSON', () => {
    const values = fc.oneof(fc.jsonValue(), mangled(messages as fc.Arbitrary<object>));
    fc.assert(
      fc.property(values, (value) => {
        try {
          const message = parse(encodeMessage({value}.value as object));
          expect(parse(encodeMessage(message))).toEqual(message);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedMessage);
        }
      }),
      {numRuns: 1_000},
    );
  });
});

const bind = (wish: unknown) => ({type: 'bind', request: 1, wish});
const bound = {type: 'bound', request: 1, tunnel: 1, epoch: 1, host: 'x', port: 1};
const visitor = {tunnel: 1, via: 'tcp', address: '::1', port: 1};

test.each([
  ['no wish', parseAgentMessage, {type: 'bind', request: 1}],
  ['a wish that is a list', parseAgentMessage, bind([])],
  ['a wish of another kind', parseAgentMessage, bind({kind: 'udp'})],
  ['a request of 0', parseAgentMessage, {...bind({kind: 'tcp'}), request: 0}],
  ['a request over 31 bits', parseAgentMessage, {...bind({kind: 'tcp'}), request: 2 ** 31 + 1}],
  ['a holder that is not 32 hex digits', parseAgentMessage, {...bind({kind: 'tcp'}), holder: 'me'}],
  ['an epoch of 0', parseAgentMessage, {...bind({kind: 'tcp'}), epoch: 0}],
  ['a port with a fraction', parseAgentMessage, bind({kind: 'tcp', port: 1.5})],
  ['a preferred port of 0', parseAgentMessage, bind({kind: 'tcp', prefer: 0})],
  [
    'a preferred name that is longer than a label',
    parseAgentMessage,
    bind({kind: 'tls', prefer: 'x'.repeat(64)}),
  ],
  ['a name that is a number', parseAgentMessage, bind({kind: 'tls', name: 1})],
  ['a message of the relay', parseAgentMessage, bound],
  ['a message of the agent', parseRelayMessage, bind({kind: 'tcp'})],
  ['a tunnel of 0', parseRelayMessage, {...bound, tunnel: 0}],
  ['a port of 0', parseRelayMessage, {...bound, port: 0}],
  ['a port over 65,535', parseRelayMessage, {...bound, port: 65_536}],
  ['an epoch of 0', parseRelayMessage, {...bound, epoch: 0}],
  // The host is used in shell commands, on stdout, and in the environment of programs.
  ['a host that a shell would read', parseRelayMessage, {...bound, host: 'r1.example;id'}],
  ['a host with a command in it', parseRelayMessage, {...bound, host: '$(id).r1.example'}],
  ['a host with a space', parseRelayMessage, {...bound, host: 'r1.example -oProxyCommand=id'}],
  ['a host like a flag', parseRelayMessage, {...bound, host: '-oProxyCommand=id'}],
  ['a host with a path', parseRelayMessage, {...bound, host: 'r1.example/x@y'}],
  ['a host with letters outside ASCII', parseRelayMessage, {...bound, host: 'bücher.example'}],
  ['an empty host', parseRelayMessage, {...bound, host: ''}],
  ['no tunnel', parseVisitorOpen, {...visitor, tunnel: undefined}],
  ['an unknown public side', parseVisitorOpen, {...visitor, via: 'quic'}],
  ['an address over 64 characters', parseVisitorOpen, {...visitor, address: 'x'.repeat(65)}],
])('%s is refused', (_what, parse: (payload: Buffer) => object, value) => {
  expect(() => parse(encodeMessage(value))).toThrow(MalformedMessage);
});

test('h2 is off unless asked for', () => {
  expect(parseAgentMessage(encodeMessage(bind({kind: 'tls'})))).toEqual(bind({kind: 'tls', h2: false}));
  const alone = bind({kind: 'tls', h2: true, http1: false});
  expect(parseAgentMessage(encodeMessage(alone))).toEqual(alone);
});

test('text of a peer for people cannot control their terminals', () => {
  const message = 'gone\u001b]0;title\u0007 for\r\ngood';
  expect(parseRelayMessage(encodeMessage({type: 'unbound', tunnel: 1, code: 'X', message}))).toMatchObject({
    message: 'gone ]0;title  for good',
  });
});

describe('the reason of a refusal or reset', () => {
  test.each(STREAM_CODES)('%s is read', (code) => {
    expect(readStreamCode(encodeMessage({code}))).toBe(code);
  });

  test.each(['', '{', 'null', '[]', '"CANCELLED"', '{}', '{"code":1}', '{"code":"constructor"}', '\u0000'])(
    'with %j the reason is unknown',
    (text) => {
      expect(readStreamCode(Buffer.from(text))).toBe('CANCELLED');
    },
  );
});

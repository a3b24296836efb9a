// A sealed network beside a small internet: what programs inside reach, and what they do not, as root and as an ordinary user.
import {fileURLToPath} from 'node:url';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {parseEgress} from '../../src/lib/seal/rules.js';
import {Scope} from '../helpers/scope.js';
import {
  FORBIDDEN,
  MACHINE_PORT,
  SealHost,
  SITE,
  type Surroundings,
  sealSurroundings,
  type User,
} from '../helpers/seal.js';

const RULES = parseEgress(
  [
    ...['allowed.example:80', 'allowed.example:443', 'allowed.example:5432', '*.wild.example:443'],
    ...[
      'inside.example:80',
      'metadata.example:80',
      'cname.example:80',
      'mixed.example:80',
      'rebind-root.example:80',
      'rebind-user.example:80',
    ],
    ...[`loopback.example:${MACHINE_PORT}`, `${SITE.v4}:22`, `[${SITE.v6}]:22`],
  ].join(','),
);

const REACHED = /^reached (203\.0\.113\.10|2001:db8::10)$/;
const RESET = /^ECONNRESET$/;
const NO_NAME = /^no such name$/;
const REFUSED = /^ECONNREFUSED$/;
const DENIED = /^(EPERM|EACCES|failed)$/;
const NOT_FOUND = /^rcode 3, 0 answers$/;
const EMPTY = /^rcode 0, 0 answers$/;

/** Each way of test/helpers/ways-around.py, and what it must come to. */
const WAYS: readonly [string, RegExp][] = [
  ['allowed name', REACHED],
  ['allowed name in capitals, with a dot', REACHED],
  ['allowed name with TLS', REACHED],
  ['allowed name with TLS, in small pieces', REACHED],
  ['allowed name with TLS on another port', REACHED],
  ['no name with TLS on another port', REACHED],
  ['name below a wildcard', REACHED],
  ['allowed address', REACHED],
  ['allowed IPv6 address', REACHED],
  ['allowed address, mapped into IPv6', REACHED],
  ['a question in mixed case', /^rcode 0, 1 answers$/],
  ['a question over TCP', /^rcode 0, 1 answers$/],
  ['a question over IPv6', /^rcode 0, 1 answers$/],
  ['a question to the address of a local stub', /^rcode 0, 1 answers$/],
  ['public among private addresses', REACHED],
  ['own loopback', /^own$/],
  ['forbidden name', NO_NAME],
  ['question for a forbidden name to another server', NOT_FOUND],
  ['question over TCP to another server', NOT_FOUND],
  ['a secret below an allowed name', NOT_FOUND],
  ['a text record of an allowed name', EMPTY],
  ['the keys of encrypted hellos', EMPTY],
  ['any record of an allowed name', EMPTY],
  ['a zone transfer', EMPTY],
  ['the name above a wildcard', NO_NAME],
  ['a name that ends like a wildcard', NO_NAME],
  ['an allowed name as the beginning of another', NO_NAME],
  ['a dot inside a label', NOT_FOUND],
  ['a zero byte inside a label', NOT_FOUND],
  ['a name of 300 bytes', /^rcode 1, 0 answers$/],
  ['a pointer in the question', /^rcode 1, 0 answers$/],
  ['a name with a private address', NO_NAME],
  ['a name with the metadata address', NO_NAME],
  ['a name with the loopback address', NO_NAME],
  ['an alias of a name with a private address', NO_NAME],
  ['a name whose address changes after the check', REACHED],
  ['another port of an allowed name', RESET],
  ['TLS with another name', RESET],
  ['TLS without a name', RESET],
  ['TLS with an address as its name', RESET],
  ['TLS with another name on another port', RESET],
  ['no TLS, a Host header', RESET],
  ['bytes that are no TLS', RESET],
  ['a forbidden address', RESET],
  ['a forbidden address with an allowed Host header', RESET],
  ['DNS over HTTPS at an address', RESET],
  ['DNS over TLS', RESET],
  ['the address of an allowed name', RESET],
  ['another port of an allowed address', RESET],
  ['a forbidden IPv6 address', RESET],
  ['mapped into IPv6', RESET],
  ['IPv4-compatible', RESET],
  ['NAT64', RESET],
  ['6to4', RESET],
  ['decimal', RESET],
  ['octal', RESET],
  ['hexadecimal', RESET],
  ['short', RESET],
  ['unspecified', REFUSED],
  ['unspecified, IPv6', REFUSED],
  ['loopback of the machine', REFUSED],
  ['loopback of the machine, IPv6', REFUSED],
  ['another loopback address', REFUSED],
  ['an address of the machine', RESET],
  ['metadata', RESET],
  ['private', RESET],
  ['shared address space', RESET],
  ['unique local', RESET],
  ['an address of the seal without a name', RESET],
  ['a listener of the seal', REFUSED],
  ['the resolver of the seal', DENIED],
  ['multicast', /^(EPERM|EINVAL|ENETUNREACH)$/],
  ['broadcast', /^(EPERM|EINVAL|ENETUNREACH)$/],
  ['UDP', DENIED],
  ['QUIC', DENIED],
  ['UDP, IPv6', DENIED],
  ['time', DENIED],
  ['UDPLite', /^(EPERM|EPROTONOSUPPORT)$/],
  ['SCTP', /^(EPERM|EPROTONOSUPPORT|ECONNREFUSED)$/],
  ['DCCP', /^(EPERM|EPROTONOSUPPORT|ESOCKTNOSUPPORT)$/],
  ['MPTCP', /^(ECONNRESET|EPROTONOSUPPORT|ENOPROTOOPT)$/],
  ['ping', DENIED],
  ['ping, IPv6', DENIED],
  ['raw IP', DENIED],
  ['raw Ethernet', DENIED],
  ['an abstract Unix socket of the machine', REFUSED],
  ['the hypervisor', /^(?!reached)/],
  ['a mark', DENIED],
  ['a device', RESET],
  ['transparent', DENIED],
  ['source routing', /^(ECONNRESET|EPERM|EINVAL|timeout)$/],
  ['fast open', RESET],
  ['a source address of the seal', RESET],
  ['one source port for two destinations', /^reached 203\.0\.113\.10, (ECONNRESET|EADDRNOTAVAIL)$/],
  ['nft flush', DENIED],
  ['nft delete', DENIED],
  ['a route', DENIED],
  ['a device of its own', DENIED],
  ['the forwarding switch', DENIED],
  ['a second namespace', DENIED],
  ['the namespace of the machine', DENIED],
  ['nsenter', DENIED],
];

const scope = new Scope();
let around: Surroundings;

beforeAll(async () => {
  around = await sealSurroundings(scope);
});

afterAll(() => scope[Symbol.asyncDispose]());

const SCRIPT = fileURLToPath(new URL('../helpers/ways-around.py', import.meta.url));

describe.each<User>(['root', 'user'])('for %s', (user) => {
  let outcomes: Map<string, string>;
  let host: SealHost;

  beforeAll(async () => {
    host = new SealHost(scope, around.machine, user);
    await host.open(RULES);
    const {machine} = around;
    const facts = [machine.address, MACHINE_PORT, FORBIDDEN.v4, FORBIDDEN.v6, SITE.v4, SITE.v6].map(String);
    const {lines, errors, code} = await host.run('ways', ['python3', SCRIPT, ...facts]);
    expect({code, errors}).toEqual({code: 0, errors: []});
    outcomes = new Map(lines.map((line) => JSON.parse(line)).map(({name, outcome}) => [name, outcome]));
  });

  test.each(WAYS)('%s', (name, outcome) => {
    expect(outcomes.get(name)).toMatch(outcome);
  });

  test('every way has its row, and none of them got out', async () => {
    expect([...outcomes.keys()].sort()).toEqual(WAYS.map(([name]) => name).sort());
    expect(await around.forbiddenPackets()).toBe(0);
    expect(await around.machinePackets()).toBe(0);
  });

  test('no name that is not allowed was asked for', () => {
    const names = new Set(around.asked());
    for (const name of names)
      expect(name).toMatch(
        /^((allowed|inside|metadata|cname|mixed|loopback|rebind-(root|user))\.example|a\.b\.wild\.example)$/,
      );
  });

  test('refusals are told, at a bounded rate', () => {
    const refusals = host.messages().filter(({event}) => event === 'refused');
    expect(refusals).toContainEqual({
      event: 'refused',
      host: 'forbidden.example',
      why: 'not-allowed',
      untold: 0,
    });
    expect(refusals.length).toBeLessThan(60);
  });
});

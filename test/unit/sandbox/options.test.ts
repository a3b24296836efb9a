// What a caller may ask for, and what becomes of it.
import {describe, expect, test} from 'vitest';
import {readOptions, type SandboxOptions} from '../../../src/lib/sandbox/options.js';
import {Probe} from '../../../src/lib/sandbox/probe.js';

const read = (options: SandboxOptions = {}, command: readonly string[] = ['true']) =>
  readOptions(command, options);

test('defaults', () => {
  const {settings, limits, ports, readiness, forward, mounts, env} = read();
  expect(settings).toMatchObject({
    backend: 'auto',
    timeoutMs: 300_000,
    idleTimeoutMs: undefined,
    bestEffort: false,
    egress: {kind: 'none'},
  });
  expect(Object.values(limits).every((limit) => limit === undefined)).toBe(true);
  expect([ports, readiness, mounts, env]).toEqual([[], undefined, [], {}]);
  expect(forward).toEqual({waitUpstreamMs: 2_000});
});

test.each<[number | string, number]>([
  [1_048_576, 1_048_576],
  ['512m', 512 * 2 ** 20],
  ['512M', 512 * 2 ** 20],
  ['512mb', 512 * 2 ** 20],
  ['512MiB', 512 * 2 ** 20],
  ['2g', 2 * 2 ** 30],
  ['4194304', 4_194_304],
])('memory %s', (memory, bytes) => {
  expect(read({memory, disk: memory}).limits).toMatchObject({memoryBytes: bytes, diskBytes: bytes});
});

test('ports are in the order encrypted, h2, unencrypted, with the names that they ask for', () => {
  const {ports, readiness} = read({
    unencryptedPorts: [5432],
    h2Ports: [50_051],
    encryptedPorts: [8080, 3000],
    names: {8080: 'Shop'},
  });
  expect(ports).toEqual([
    {port: 8080, kind: 'encrypted', subdomain: 'shop'},
    {port: 3000, kind: 'encrypted'},
    {port: 50_051, kind: 'h2'},
    {port: 5432, kind: 'unencrypted'},
  ]);
  expect(readiness).toEqual(Probe.tcp(8080));
});

test('options of its tunnels pass through, and nothing else does', () => {
  const {forward} = read({
    relay: 'https://r1.example.net',
    token: 'a-token',
    private: true,
    cidrAllow: ['10.0.0.0/8'],
    waitUpstreamMs: 5,
    memory: '64m',
    env: {SECRET: 'x'},
    mounts: [{source: '/srv', target: '/srv'}],
    onEvent: () => {},
    ...({host: '10.0.0.1', h2: true, lan: true} as object),
  });
  expect(forward).toEqual({
    relay: 'https://r1.example.net',
    token: 'a-token',
    private: true,
    cidrAllow: ['10.0.0.0/8'],
    waitUpstreamMs: 5,
  });
});

test('mounts are read-only unless they say otherwise', () => {
  const {mounts} = read({
    mounts: [
      {source: '/a', target: '/b'},
      {source: '/c', target: '/d', readOnly: false},
    ],
  });
  expect(mounts).toEqual([
    {source: '/a', target: '/b', readOnly: true},
    {source: '/c', target: '/d', readOnly: false},
  ]);
});

test('options survive JSON, so that another process can own the sandbox', () => {
  const options: SandboxOptions = {
    encryptedPorts: [8080],
    names: {8080: 'shop'},
    memory: '64m',
    egress: ['db.example.com:5432'],
    readiness: Probe.exec(['true'], {intervalMs: 50}),
    env: {A: 'b'},
  };
  expect(read(JSON.parse(JSON.stringify(options)))).toEqual(read(options));
});

describe('refused', () => {
  const long = 'x'.repeat(200_000);
  test.each<[string, SandboxOptions]>([
    ['memory in words', {memory: 'much'}],
    ['memory below a megabyte', {memory: 1000}],
    ['negative memory', {memory: -1}],
    ['no processor', {cpu: 0}],
    ['processors in words', {cpu: '1' as never}],
    ['half a process', {pids: 1.5}],
    ['a life of less than nothing', {timeoutMs: -1}],
    ['a life of half a millisecond', {timeoutMs: 0.5}],
    ['an unknown backend', {backend: 'none' as never}],
    ['a relative folder', {workdir: 'here'}],
    ['a name like an id', {name: 'sb_aaaaaaaa'}],
    ['a name with a slash', {name: '../x'}],
    ['an image like an option', {image: '-v'}],
    ['a port twice', {encryptedPorts: [80], unencryptedPorts: [80]}],
    ['a name for no port', {encryptedPorts: [80], names: {81: 'x'}}],
    ['33 ports', {encryptedPorts: Array.from({length: 33}, (_, i) => 1000 + i)}],
    ['a null byte in env', {env: {A: 'a\0b'}}],
    ['a name of a variable with =', {env: {'A=B': 'c'}}],
    ['env with a number', {env: {A: 1 as never}}],
    ['a long env', {env: {A: long}}],
    ['a relative mount', {mounts: [{source: 'x', target: '/x'}]}],
    ['a mount of nothing', {mounts: [null as never]}],
    ['a preStop in words', {preStop: 'rm -rf' as never}],
    ['an unknown probe', {readiness: {kind: 'http'} as never}],
    ['a probe without pause', {readiness: {kind: 'tcp', port: 80, intervalMs: 0}}],
    ['root by hostUid', {hostUid: 0}],
  ])('%s', (_what, options) => {
    expect(() => read(options)).toThrow(expect.objectContaining({code: 'OPTION_INVALID'}));
  });

  test.each<[string, unknown]>([
    ['no command', []],
    ['a text', 'true'],
    ['an empty program', ['']],
    ['a number', [1]],
    ['a null byte', ['a\0b']],
    ['a long one', ['echo', long]],
  ])('the command: %s', (_what, command) => {
    expect(() => read({}, command as string[])).toThrow(expect.objectContaining({code: 'OPTION_INVALID'}));
  });

  test.each<[string, SandboxOptions, string]>([
    ['a port of 0', {encryptedPorts: [0]}, 'PORT_RANGE'],
    ['a port in words', {encryptedPorts: ['80' as never]}, 'PORT_INVALID'],
    ['an egress without a port', {egress: ['db.example.com']}, 'EGRESS_INVALID'],
    ['an egress of a number', {egress: 1 as never}, 'EGRESS_INVALID'],
    ['an egress with a hole', {egress: [null as never]}, 'EGRESS_INVALID'],
    ['a tunnel name with a dot', {encryptedPorts: [80], names: {80: 'a.b'}}, 'NAME_INVALID'],
  ])('%s', (_what, options, code) => {
    expect(() => read(options)).toThrow(expect.objectContaining({code}));
  });

  test('no secret stands in the error', () => {
    expect(() => read({env: {TOKEN: 'secret\0value'}})).toThrow(
      expect.objectContaining({message: expect.not.stringContaining('secret')}),
    );
  });
});

test.each([
  ['none', {kind: 'none'}],
  ['internet', {kind: 'internet'}],
  ['DB.example.com:5432', {kind: 'list', allow: [{host: 'db.example.com', port: 5432}]}],
  [['*.example.com:443'], {kind: 'list', allow: [{host: '*.example.com', port: 443}]}],
  [{kind: 'internet'}, {kind: 'internet'}],
] as const)('egress %j', (egress, rules) => {
  expect(read({egress: egress as never}).settings.egress).toEqual(rules);
});

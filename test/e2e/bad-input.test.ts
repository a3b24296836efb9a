// Every kind of wrong input: a code, an exit code and a next step, the same with and without --json.

import {mkdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {createServer as createHttpServer} from 'node:http';
import {createServer as createHttpsServer} from 'node:https';
import {createServer} from 'node:net';
import {describe, expect} from 'vitest';
import {ERRORS, type ErrorCode} from '../../src/lib/core/errors.js';
import {run} from '../helpers/child.js';
import {entry, runCli} from '../helpers/cli.js';
import {FaultProxy} from '../helpers/fault-proxy.js';
import {twoHosts} from '../helpers/net-ns.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import {type Scope, unusedPort} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream} from '../helpers/upstreams.js';

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

interface Options {
  env?: Record<string, string>;
  namespace?: string;
}

/** Runs the command with and without --json: one error, its code, its exit code, no stack, nothing else on stdout. */
async function refuses(scope: Scope, args: readonly string[], code: ErrorCode, options: Options = {}) {
  const {exitCode} = ERRORS[code];
  // Flags end at `--`.
  const flagsEnd = args.includes('--') ? args.indexOf('--') : args.length;
  const json = await runCli(scope, args.toSpliced(flagsEnd, 0, '--json'), options);
  const last = json.stdout.trim().split('\n').at(-1) ?? '';
  expect(JSON.parse(last === '' ? 'null' : last), json.stderr).toMatchObject({type: 'error', code, exitCode});
  expect(json.code).toBe(exitCode);
  const plain = await runCli(scope, args, options);
  expect(plain.code).toBe(exitCode);
  expect(plain.stdout).toBe('');
  expect(plain.stderr).toContain(code);
  expect(plain.stderr).not.toMatch(/\n\s+at /);
  expect(plain.stderr.split('\n').length).toBeLessThan(8);
  return plain;
}

describe('the command line', () => {
  const cases: [ErrorCode, ...string[]][] = [
    ['PORT_INVALID', 'expose', 'abc'],
    ['TARGET_INVALID', 'expose', 'host:port:8000'],
    ['PORT_INVALID', 'expose', '80.5'],
    ['TARGET_INVALID', 'expose', 'https://localhost:8443/app'],
    ['TARGET_INVALID', 'expose', 'unix:'],
    ['SOCKET_INVALID', 'expose', `unix:${entry}`],
    ['FOLDER_MISSING', 'expose', './no-such-folder'],
    ['FOLDER_INVALID', 'expose', entry],
    ['OPTION_INVALID', 'expose', '/', '--h2'],
    ['USAGE', 'expose', '8000', '--upstream-insecure'],
    ['USAGE', 'expose', './dist', '--local-host', '127.0.0.1'],
    ['FILE_UNREADABLE', 'expose', 'https://localhost', '--upstream-ca', '/nonexistent'],
    ['CERTIFICATE_INVALID', 'expose', 'https://localhost', '--upstream-ca', entry],
    ['OPTION_INVALID', 'expose', 'https://localhost', '--upstream-cert', entry],
    ['OPTION_INVALID', 'expose', 'https://localhost', '--upstream-ca', entry, '--upstream-insecure'],
    ['PORT_RANGE', 'expose', '0'],
    ['PORT_RANGE', 'expose', '65536'],
    ['PORT_RANGE', 'expose', '--', '-1'],
    ['USAGE', 'expose'],
    ['USAGE', 'expose', '8000', '--no-such-flag'],
    ['USAGE', 'expose', '8000', 'surplus'],
    ['H2_WITH_TCP', 'expose', '8000', '--tcp', '--h2'],
    ['RELAY_URL_INVALID', 'expose', '8000', '--relay', 'ftp://relay.test'],
    ['RELAY_NAME_UNKNOWN', 'expose', '8000', '--relay', 'https://relay.invalid'],
    [
      'FILE_UNREADABLE',
      'expose',
      '8000',
      '--relay',
      'https://r1.localhost:1',
      '--token-file',
      '/nonexistent',
    ],
    ['FILE_UNREADABLE', 'expose', '8000', '--relay', 'https://r1.localhost:1', '--ca-file', '/nonexistent'],
    ['TOKEN_NEEDED', 'relay', 'start', '--listen', '0.0.0.0:0'],
    ['OPTION_INVALID', 'relay', 'start', '--tcp-ports', '9-3'],
    ['OPTION_INVALID', 'relay', 'start', '--resume-window', '11m'],
    ['OPTION_INVALID', 'relay', 'start', '--key-file', 'key.pem'],
    ['OPTION_INVALID', 'expose', '8000', '--expires', '999999999d'],
    ['USAGE', 'expose', '8000', '--tcp=yes'],
    ['USAGE', 'expose', 'npm', 'run', 'dev'],
    ['USAGE', 'list', 'surplus'],
    ['USAGE', 'relay', 'ca', 'surplus'],
    ['RELAY_URL_INVALID', 'expose', '8000', '--relay', ''],
    ['PORT_INVALID', 'connect', 'localhost:abc'],
    ['TARGET_INVALID', 'connect', 'http://localhost'],
  ];
  test.for(cases)('%s: %j', async ([code, ...args], {scope}) => {
    await refuses(scope, args, code);
  });

  const named: [string, ...string[]][] = [
    ['at most 10m', 'relay', 'start', '--resume-window', '11m'],
    ['at most 30d', 'relay', 'start', '--lease-grace', '31d'],
    ['HOST:PORT', 'relay', 'start', '--listen', '127.0.0.1'],
    ['HOST:PORT', 'relay', 'start', '--listen-http', '80'],
    ['65535', 'relay', 'start', '--public-port', '0'],
    ['not a host', 'relay', 'start', '--tcp-host', '1.2.3.4:5'],
    ['more than 0s', 'expose', '8000', '--idle-timeout', '0s'],
    ['at most 7d', 'expose', '--ready-timeout', '60d', '--', 'true'],
    ['at most 3650d', 'expose', '8000', '--drain-timeout', '999999999d'],
    ['Add --tcp', 'expose', '8000', '--remote-port', '5000'],
    ['after `--`', 'expose', '8000', '--ready-path', '/'],
    ['after `--`', 'expose', '8000', '--ready-timeout', '5s'],
    ['the port alone', 'expose', '10.0.0.1:80', '--local-host', '10.0.0.2'],
    ['--relay URL', 'expose', '8000', '--token-file', 'token'],
    ['PASSWORD', 'terminal', '--quiet'],
    ['--password-file', 'code-server', '--quiet'],
    ['--tls', 'ssh', '--tls', '--remote-port', '5000', '--github', 'octocat'],
  ];
  test.for(named)('names the flag, and says %s: %j', async ([wanted, ...args], {scope}) => {
    const {code, stdout, stderr} = await runCli(scope, args);
    const flag = args.findLast((word) => word.startsWith('--') && word.length > 2 && word !== '--github');
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(flag);
    expect(stderr).toContain(wanted);
    expect(stderr).not.toMatch(/Ms\b|\{unencrypted|COMMAND --help/);
  });

  test('an IP address is no tunnel name: Node prints no warning', async ({scope}) => {
    const {stderr} = await runCli(scope, ['connect', `127.0.0.1:${await unusedPort()}`]);
    expect(stderr).toMatch(/^error: /);
  });

  test('an unknown command: tunl suggests a similar one', async ({scope}) => {
    const {code, stderr, stdout} = await runCli(scope, ['expsoe', '8000']);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain('expose');
  });
});

test('names that are not allowed', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const names: [ErrorCode, string][] = [
    ['NAME_RESERVED', 'www'],
    ['NAME_RESERVED', 'api'],
    ['NAME_INVALID', 'a.b'],
    ['NAME_INVALID', 'a'.repeat(64)],
    ['NAME_INVALID', 'a'.repeat(1_001)],
    ['NAME_INVALID', 'a'.repeat(70_000)],
    ['NAME_RESERVED', 'WWW'],
    ['NAME_INVALID', 'ümlaut'],
    ['NAME_INVALID', 'xn--mlaut-jva'],
    ['NAME_INVALID', '__proto__'],
    ['NAME_INVALID', '-a'],
    ['NAME_INVALID', ''],
  ];
  for (const [code, name] of names) {
    const result = await runCli(scope, ['expose', '8000', `--subdomain=${name}`, '--json'], {env: relay.env});
    expect(JSON.parse(result.stdout), name).toMatchObject({type: 'error', code});
    expect(result.code).toBe(ERRORS[code].exitCode);
  }
  // Names of properties that JavaScript objects have are valid names.
  const {ready} = await relay.expose(await echoUpstream(scope), {flags: ['--subdomain', 'constructor']});
  expect(ready.tls?.host).toBe('constructor.r1.localhost');
});

test('names and ports of another owner, or that the relay does not offer', async ({scope}) => {
  const first = await unusedPort();
  // Without a token each state folder is a separate owner, and each command of this test has its own.
  const relay = await startRelayProcess(scope, {tcpPorts: `${first}-${first}`, withToken: false});
  const {env} = relay;
  await relay.expose(await echoUpstream(scope), {flags: ['--subdomain', 'demo', '--tcp']});
  await refuses(scope, ['expose', '8000', '--subdomain', 'demo'], 'NAME_TAKEN', {env});
  await refuses(scope, ['expose', '8000', '--tcp', '--remote-port', String(first)], 'PORT_TAKEN', {env});
  const beside = first === 65535 ? first - 1 : first + 1;
  await refuses(scope, ['expose', '8000', '--tcp', '--remote-port', String(beside)], 'PORT_NOT_OFFERED', {
    env,
  });
  await refuses(scope, ['expose', '8000', '--tcp'], 'NO_FREE_PORT', {env});
});

test('a missing and a wrong token', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const {TUNL_TOKEN = '', ...env} = relay.env;
  await refuses(scope, ['expose', '8000'], 'TOKEN_MISSING', {env});
  const wrong = 'tunl-wrong-token-0123456789';
  const plain = await refuses(scope, ['expose', '8000'], 'TOKEN_WRONG', {env: {...env, TUNL_TOKEN: wrong}});
  expect(plain.stderr).not.toContain(wrong);
  expect(relay.cli.stderr + relay.cli.stdout).not.toContain(wrong);
  expect(relay.cli.stderr + relay.cli.stdout).not.toContain(TUNL_TOKEN);
});

test('a relay that refuses, is silent, is not trusted, or is another server', async ({scope}) => {
  const at = (port: number) => ['expose', '8000', '--relay', `https://r1.localhost:${port}`];
  await refuses(scope, at(await unusedPort()), 'RELAY_REFUSED');

  const relay = await startRelayProcess(scope);
  await refuses(scope, at(relay.port), 'RELAY_CERTIFICATE', {env: {TUNL_TOKEN: relay.token}});

  const plainHttp = await scope.listen(createHttpServer((_request, response) => response.end('hello')));
  await refuses(scope, at(plainHttp), 'RELAY_NOT_TUNL');

  const closing = await scope.listen(createServer((socket) => socket.destroy()));
  await refuses(scope, at(closing), 'RELAY_LOST');

  const proxy = await FaultProxy.start(scope, {target: {port: relay.port}});
  proxy.blackhole('drop');
  const silent = await runCli(scope, [...at(proxy.port), '--json'], {env: {...relay.env, TUNL_RELAY: ''}});
  expect(JSON.parse(silent.stdout)).toMatchObject({type: 'error', code: 'RELAY_TIMEOUT'});
});

test('a web server, an older and a newer relay at the address', async ({scope}) => {
  const {certFile, keyFile, caFile} = await certificate(scope, 'r1.localhost');
  let answer: Answer = {status: 200, headers: {}, body: '<h1>It works!</h1>'};
  const server = createHttpsServer({cert: await readFile(certFile), key: await readFile(keyFile)});
  // Answers the agent's upgrade like any other request, as servers without upgrades do.
  server.on('request', (_request, response) =>
    response.writeHead(answer.status, answer.headers).end(answer.body),
  );
  const port = await scope.listen(server);
  const args = ['expose', '8000', '--relay', `https://r1.localhost:${port}`, '--ca-file', caFile];
  const env = {TUNL_TOKEN: 'a-token-that-is-long-enough'};
  await refuses(scope, args, 'RELAY_NOT_TUNL', {env});
  answer = {status: 404, headers: {}, body: 'not here'};
  await refuses(scope, args, 'RELAY_NOT_TUNL', {env});
  for (const code of ['RELAY_TOO_OLD', 'RELAY_TOO_NEW'] as const) {
    answer = {
      status: 426,
      headers: {'content-type': 'application/json'},
      body: JSON.stringify({error: {code, message: 'another version'}}),
    };
    await refuses(scope, args, code, {env});
  }
  answer = {status: 503, headers: {'retry-after': '1'}, body: ''};
  await refuses(scope, args, 'RELAY_BUSY', {env});
});

test('a relay with files that do not match, or with a port that it cannot use', async ({scope}) => {
  const folder = await scope.tempDir('files');
  const one = await certificate(scope, 'r1.localhost');
  const two = await certificate(scope, 'r2.localhost');
  const start = (...flags: string[]) => ['relay', 'start', '--domain', 'r1.localhost', ...flags];
  await refuses(scope, start('--cert-file', one.certFile, '--key-file', two.keyFile), 'KEY_MISMATCH');
  await writeFile(`${folder}/not.pem`, 'not a certificate');
  await refuses(
    scope,
    start('--cert-file', `${folder}/not.pem`, '--key-file', one.keyFile),
    'CERTIFICATE_INVALID',
  );
  await refuses(
    scope,
    start('--cert-file', `${folder}/none.pem`, '--key-file', one.keyFile),
    'FILE_UNREADABLE',
  );
  await refuses(scope, start('--token-file', `${folder}/none`), 'FILE_UNREADABLE');
  await writeFile(`${folder}/empty`, '\n');
  await refuses(scope, start('--token-file', `${folder}/empty`), 'TOKEN_FILE_EMPTY');
  await mkdir(`${folder}/state`);
  await writeFile(`${folder}/state/file`, '');
  await refuses(scope, start(), 'STATE_DIR', {env: {TUNL_STATE_DIR: `${folder}/state/file/below`}});
  const env = {TUNL_TOKEN: 'a-token-that-is-long-enough'};
  await refuses(scope, start('--listen', '192.0.2.1:0'), 'LISTEN_FAILED', {env});
  const taken = await scope.listen(createServer());
  await refuses(scope, start('--listen', `127.0.0.1:${taken}`), 'LISTEN_IN_USE');
});

test('a key with a passphrase, and the printed command that removes it', async ({scope}) => {
  const {certFile, keyFile} = await certificate(scope, 'r1.localhost');
  const folder = await scope.tempDir('key');
  const locked = `${folder}/the key.pem`;
  const lock = ['pkey', '-in', keyFile, '-aes256', '-passout', 'pass:x', '-out', locked];
  expect(await run(scope, 'openssl', lock)).toMatchObject({code: 0});
  const start = (key: string) => ['relay', 'start', '--cert-file', certFile, '--key-file', key];
  const expose = (key: string) => [
    'expose',
    'https://localhost',
    '--upstream-cert',
    certFile,
    '--upstream-key',
    key,
  ];
  for (const words of [start(locked), expose(locked)]) {
    const {stderr} = await refuses(scope, words, 'CERTIFICATE_INVALID');
    expect(stderr).toContain('is encrypted with a passphrase');
    const [, command = ''] = /(\(umask 077; openssl [^\n]*\))/.exec(stderr) ?? [];
    // The test has no terminal to type it at.
    const typed = command.replace('openssl pkey', 'openssl pkey -passin pass:x');
    const made = await run(scope, 'sh', ['-c', typed], {cwd: folder});
    expect(made, made.stderr).toMatchObject({code: 0});
    const {mode} = await stat(`${folder}/plain-key.pem`);
    expect(mode & 0o777).toBe(0o600);
    expect(await readFile(`${folder}/plain-key.pem`, 'utf8')).toBe(await readFile(keyFile, 'utf8'));
    await rm(`${folder}/plain-key.pem`);
  }
  for (const words of [start(certFile), expose(certFile)]) {
    const {stderr} = await refuses(scope, words, 'CERTIFICATE_INVALID');
    expect(stderr).toContain('contains no usable private key, but a certificate');
  }
});

test('a relay without the right to its port says what the user can do', async ({scope}) => {
  // In a separate namespace, where low ports are privileged whatever this machine's setting is.
  const wire = await twoHosts(scope);
  const stateDir = await scope.tempDir('state');
  const result = await run(
    scope,
    'setpriv',
    [
      ...['--bounding-set=-net_bind_service', '--inh-caps=-net_bind_service', '--'],
      ...[process.execPath, entry, 'relay', 'start', '--listen', '127.0.0.1:443', '--json'],
    ],
    {namespace: wire.one.namespace, env: {TUNL_STATE_DIR: stateDir, HOME: stateDir}},
  );
  expect(JSON.parse(result.stdout), result.stderr).toMatchObject({type: 'error', code: 'LISTEN_FORBIDDEN'});
  expect(result.code).toBe(ERRORS.LISTEN_FORBIDDEN.exitCode);
  expect(result.stdout).toContain('setcap');
});

test('a link that is cut is reported, and the agent comes back by itself', async ({scope}) => {
  const relay: RelayProcess = await startRelayProcess(scope);
  const proxy = await FaultProxy.start(scope, {target: {port: relay.port}});
  const {cli, ready} = await relay.expose(await echoUpstream(scope), {
    env: {TUNL_RELAY: `https://r1.localhost:${proxy.port}`},
  });
  // The public address has the relay's own port, not that of the proxy on the agent's link.
  expect(ready.tls?.port).toBe(relay.port);
  proxy.reset();
  expect(await cli.event('reconnecting')).toMatchObject({attempt: 1});
  expect(await cli.event('resumed')).toMatchObject({lost: 0});
});

/** A certificate for `*.host` and `host`, signed by its own CA. */
async function certificate(scope: Scope, host: string) {
  const folder = await scope.tempDir('cert');
  const file = (name: string) => `${folder}/${name}`;
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const names = `subjectAltName=DNS:${host},DNS:*.${host}`;
  for (const args of [
    [
      'req',
      '-x509',
      ...key,
      '-days',
      '2',
      '-subj',
      '/CN=test CA',
      '-keyout',
      file('ca.key'),
      '-out',
      file('ca.pem'),
    ],
    [
      ...['req', '-x509', ...key, '-days', '2', '-subj', `/CN=${host}`, '-addext', names],
      ...['-addext', 'basicConstraints=critical,CA:FALSE', '-CA', file('ca.pem'), '-CAkey', file('ca.key')],
      ...['-keyout', file('leaf.key'), '-out', file('leaf.pem')],
    ],
  ]) {
    const {code, stderr} = await run(scope, 'openssl', args);
    if (code !== 0) throw new Error(stderr);
  }
  return {certFile: file('leaf.pem'), keyFile: file('leaf.key'), caFile: file('ca.pem')};
}

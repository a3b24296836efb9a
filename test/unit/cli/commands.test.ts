// The commands as processes: their stdout and stderr, and their ends. With tunnels through the embedded relay.

import {execFile} from 'node:child_process';
import {once} from 'node:events';
import {existsSync} from 'node:fs';
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {request} from 'node:https';
import {type AddressInfo, connect, createServer, type Server, type Socket} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import type {CliEvent} from '../../../src/lib/cli/events.js';
import type {ListeningEvent} from '../../../src/lib/cli/relay-start-events.js';
import {EXIT} from '../../../src/lib/core/errors.js';
import {unusedPort} from '../../helpers/scope.js';
import {parseEvent} from '../../project/event-schema.js';
import {type RunningCli, runCli, startCli} from '../../project/run-cli.js';
import {ROOT} from '../../project/source-files.js';

let stateDir = '';
let upstream: Server;
let port = '';
const open = new Set<Socket>();

beforeAll(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'tunl-cli-'));
  // Echoes; answers a request line with a page.
  upstream = createServer({allowHalfOpen: true}, (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    socket.on('data', (chunk) => {
      if (!chunk.toString().startsWith('GET ')) socket.write(chunk);
      else socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello');
    });
  });
  await once(upstream.listen(0, '127.0.0.1'), 'listening');
  port = String((upstream.address() as AddressInfo).port);
});

afterAll(async () => {
  for (const socket of open) socket.destroy();
  upstream.close();
  await rm(stateDir, {recursive: true, force: true});
});

const env = () => ({TUNL_STATE_DIR: stateDir});
const start = (...words: string[]) => startCli(words, {env: env()});

/** The next event of this type; earlier lines must be events as well. */
async function event<K extends CliEvent['type']>(
  cli: RunningCli,
  type: K,
): Promise<Extract<CliEvent, {type: K}>> {
  for (;;) {
    const found = parseEvent(await cli.line());
    if (found.type === type) return found as Extract<CliEvent, {type: K}>;
    if (found.type === 'error') throw new Error(`instead of ${type}: ${JSON.stringify(found)}`);
  }
}

/** A page through a tunnel whose certificate is from the private CA. */
async function get(url: string, caFile: string): Promise<string> {
  const {hostname, port: publicPort} = new URL(url);
  const sent = request({
    host: '127.0.0.1',
    port: publicPort,
    servername: hostname,
    headers: {host: hostname},
    ca: await readFile(caFile),
    agent: false,
  }).end();
  const [response] = await once(sent, 'response');
  let body = '';
  for await (const chunk of response) body += chunk;
  return body;
}

async function visit(address: string): Promise<Socket> {
  const [host = '', visited = ''] = address.split(':');
  expect(host).toBe('localhost');
  const socket = connect({host: '127.0.0.1', port: Number(visited)});
  socket.on('error', () => {});
  socket.write('ping');
  const [echo] = await once(socket, 'data');
  expect(String(echo)).toBe('ping');
  return socket;
}

test('the output of a program that fails is on the screen once', async () => {
  const words = ['expose', '--', 'sh', '-c', 'echo no such table; exit 3'];
  const {stderr} = await runCli(words, {env: env()});
  expect(stderr.match(/no such table/g)).toHaveLength(1);
  expect(stderr).toContain('error: sh ended with exit code 3 before it answered.\n');
  const {stderr: quiet} = await runCli([...words.slice(0, 1), '-q', ...words.slice(1)], {env: env()});
  expect(quiet).toContain('Its last lines:\n  no such table\n');
});

describe('a wrong command line', () => {
  test.each([
    [['expose'], 'USAGE', EXIT.usage],
    [['expose', '8000', '--tpc'], 'USAGE', EXIT.usage],
    [['expsoe', '8000'], 'USAGE', EXIT.usage],
    [['relay', 'start', 'extra'], 'USAGE', EXIT.usage],
    [['expose', 'abc'], 'PORT_INVALID', EXIT.usage],
    [['expose', '0'], 'PORT_RANGE', EXIT.usage],
    [['expose', '65536'], 'PORT_RANGE', EXIT.usage],
    [['expose', '-1'], 'PORT_RANGE', EXIT.usage],
    [['expose', 'http://localhost:8000/path'], 'TARGET_INVALID', EXIT.usage],
    [['expose', '8000', '--drain-timeout', '5'], 'OPTION_INVALID', EXIT.usage],
  ])('%j', async (words, code, exitCode) => {
    const [plain, json] = await Promise.all([
      runCli(words, {env: env()}),
      runCli([...words, '--json'], {env: env()}),
    ]);
    expect(plain.stdout).toBe('');
    expect(plain.stderr).toMatch(new RegExp(`^error: .+\\nnext: .+\\ncode: ${code}\\n$`));
    expect(plain.exitCode).toBe(exitCode);
    expect(json.stderr).toBe('');
    expect(parseEvent(json.stdout)).toMatchObject({type: 'error', code, exitCode});
    expect(json.exitCode).toBe(exitCode);
  });

  test('oclif shows nothing of the input: no context, no words, no stack', async () => {
    const {stdout, stderr} = await runCli(['expose', '8000', '--token', 'hunter2-hunter2-hunter2', '--json']);
    expect(stdout + stderr).not.toMatch(/hunter2|argv|oclif|node_modules| at /);
  });

  test('a missing target is not read from stdin', async () => {
    await using cli = start('expose');
    cli.child.stdin.write('8000\n');
    expect((await cli.outcome).exitCode).toBe(EXIT.usage);
  });
});

describe('errors of the library', () => {
  describe('in a pipeline', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is bash's.
    const STATUSES = '; echo ${PIPESTATUS[*]}';
    const bash = (script: string, then = '') =>
      new Promise<string>((resolve) => {
        const variables = {
          ...process.env,
          ...env(),
          TUNL: `${process.execPath} ${ROOT}/bin/dev.js`,
          PORT: port,
        };
        execFile('bash', ['-c', script + then], {env: variables, timeout: 25_000}, (_error, stdout, stderr) =>
          resolve(stdout + stderr),
        );
      });

    test.runIf(process.platform === 'linux')('| head -1 gets the address, and that was it', async () => {
      const said = await bash('$TUNL expose $PORT -q | head -1', STATUSES);
      expect(said).toMatch(/^https:\/\/\S+\n0 0\n$/);
    });

    test.runIf(process.platform === 'linux')('a reader that never reads', async () => {
      expect(await bash('$TUNL expose $PORT -q | true', STATUSES)).toBe('0 0\n');
    });

    test
      .runIf(process.platform === 'linux')
      .each([
        '$TUNL expose $PORT -q',
        '$TUNL expose $PORT -q --json',
        '$TUNL relay ca -q',
        '$TUNL expose --help',
        `${process.execPath} ${ROOT}/bin/run.js --version`,
      ])('a full disk is one error: %s', async (command) => {
      const said = await bash(`${command} > /dev/full; echo $?`);
      expect(said).toMatch(
        /^8\nerror: stdout cannot be written \(ENOSPC\)\.\nnext: .+\ncode: STDOUT_FAILED\n$/,
      );
    });

    test('help | head -1 prints one line of help and no error', async () => {
      const said = await bash('$TUNL expose --help | head -1', STATUSES);
      expect(said).toBe('Give a local port, socket or folder a public address.\n0 0\n');
    });

    test.runIf(process.platform === 'linux')('it lives as long as somebody holds the other end', async () => {
      const said = await bash(`
        exec 3< <($TUNL expose $PORT -q); pid=$!
        read -r address <&3; sleep 1.5; kill -0 $pid && echo alive
        exec 3<&-; wait $pid; echo $?`);
      expect(said).toBe('alive\n0\n');
    });
  });

  test.each([
    [['expose', '8000', '--tcp', '--h2'], 'H2_WITH_TCP', EXIT.usage],
    [['expose', '8000', '--relay', 'ftp://x'], 'RELAY_URL_INVALID', EXIT.usage],
    [['expose', '8000', '--relay', 'https://127.0.0.1:1'], 'RELAY_REFUSED', EXIT.relayUnreachable],
    [
      ['expose', '8000', '--relay', 'https://x.invalid', '--token-file', '/nonexistent'],
      'FILE_UNREADABLE',
      EXIT.local,
    ],
    [['relay', 'start', '--listen', '0.0.0.0:0'], 'TOKEN_NEEDED', EXIT.usage],
  ])('%j', async (words, code, exitCode) => {
    const [plain, json] = await Promise.all([
      runCli(words, {env: env()}),
      runCli([...words, '--json'], {env: env()}),
    ]);
    expect(plain.stderr).toContain(`code: ${code}\n`);
    expect(plain.exitCode).toBe(exitCode);
    expect(parseEvent(json.stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({type: 'error', code});
    expect(json.exitCode).toBe(exitCode);
  });
});

describe('tunl expose', () => {
  test('stdout is the address, stderr has the rest; Ctrl+C ends with 0', async () => {
    await using cli = start('expose', port);
    const url = await cli.line();
    expect(url).toMatch(/^https:\/\/localhost:\d+$/);
    const [, caFile = ''] = await cli.told(/--cacert (\S+) /);
    expect(await get(url, caFile)).toBe('hello');
    cli.child.kill('SIGINT');
    const {stdout, stderr, exitCode} = await cli.outcome;
    expect(exitCode).toBe(0);
    expect(stdout).toBe(`${url}\n`);
    expect(stderr).toContain(`localhost:${port}`);
    expect(stderr).toContain('this machine only');
    expect(stderr).toContain('closed');
    expect(stderr).not.toContain('\u001b');
  });

  test('-q: the address and silence', async () => {
    await using cli = start('expose', port, '-q');
    await cli.line();
    cli.child.kill('SIGTERM');
    const {stderr, exitCode} = await cli.outcome;
    expect({stderr, exitCode}).toEqual({stderr: '', exitCode: 0});
  });

  test('--json: every line is an event of the schema', async () => {
    await using cli = start('expose', port, '--json');
    const {url = '', relay} = await event(cli, 'ready');
    expect(relay.embedded).toBe(true);
    expect(await get(url, relay.caFile ?? '')).toBe('hello');
    cli.child.kill('SIGINT');
    const {stdout, stderr, exitCode} = await cli.outcome;
    const events = stdout.trim().split('\n').map(parseEvent);
    const types = events.map(({type}) => type);
    expect(types[0]).toBe('ready');
    expect(types.filter((type) => type === 'connection')).toHaveLength(2);
    expect(types.at(-1)).toBe('closed');
    expect({stderr, exitCode}).toEqual({stderr: '', exitCode: 0});
  });

  test('the first Ctrl+C lets open connections finish and prints how many', async () => {
    await using cli = start('expose', port, '--tcp', '--json');
    const {address} = await event(cli, 'ready');
    const visitor = await visit(address);
    cli.child.kill('SIGINT');
    expect(await event(cli, 'draining')).toMatchObject({connections: 1, timeoutMs: 5000});
    visitor.write('more');
    expect(String((await once(visitor, 'data'))[0])).toBe('more');
    visitor.end();
    await event(cli, 'closed');
    expect((await cli.outcome).exitCode).toBe(0);
  });

  test('--drain-timeout: connections that are still open then are cut, and the end is orderly', async () => {
    await using cli = start('expose', port, '--tcp', '--json', '--drain-timeout', '50ms');
    const {address} = await event(cli, 'ready');
    const visitor = await visit(address);
    const cut = new Promise((resolve) => visitor.once('close', resolve));
    cli.child.kill('SIGTERM');
    await cut;
    expect((await cli.outcome).exitCode).toBe(0);
  });

  test('the second Ctrl+C leaves at once', async () => {
    await using cli = start('expose', port, '--tcp', '--json', '--drain-timeout', '10m');
    const {address} = await event(cli, 'ready');
    const visitor = await visit(address);
    cli.child.kill('SIGINT');
    await event(cli, 'draining');
    // Two signals close together count as one key press; the second press of a person comes later.
    await new Promise((resolve) => setTimeout(resolve, 400));
    cli.child.kill('SIGINT');
    expect((await cli.outcome).exitCode).toBe(EXIT.interrupted);
    visitor.destroy();
  });

  test('a reader that is gone ends it quietly at the next event', async () => {
    await using cli = start('expose', port, '--tcp', '--json');
    const {address} = await event(cli, 'ready');
    const exited = once(cli.child, 'exit');
    cli.child.stdout.destroy();
    // Any event works; the visitor may be cut before it gets its echo.
    const visitor = connect({host: '127.0.0.1', port: Number(address.split(':')[1])});
    visitor.on('error', () => {});
    visitor.write('ping');
    const [exitCode] = await exited;
    visitor.destroy();
    expect(exitCode).toBe(0);
    expect(cli.stderr()).toBe('');
  });

  test.each([[[]], [['--json']]])('an uncaught exception is reported like any error %j', async (more) => {
    const bomb = `data:text/javascript,process.on('SIGUSR2',()=>{throw%20new%20Error('boom')})`;
    const options = {env: {...env(), NODE_OPTIONS: `--import ${bomb}`}};
    await using cli = startCli(['expose', port, ...more], options);
    await cli.line();
    cli.child.kill('SIGUSR2');
    const {stdout, stderr, exitCode} = await cli.outcome;
    expect(exitCode).toBe(EXIT.unexpected);
    expect(stderr).not.toContain('    at ');
    if (more.length === 0) expect(stderr).toContain('error: boom\n');
    else expect(parseEvent(stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({code: 'UNEXPECTED'});
  });

  test('a refused upstream is one line with its name', async () => {
    const free = String(await unusedPort());
    await using cli = start('expose', free, '--tcp', '--json');
    const {address} = await event(cli, 'ready');
    const visitor = connect({host: '127.0.0.1', port: Number(address.split(':')[1])});
    visitor.on('error', () => {});
    const notice = await event(cli, 'notice');
    expect(notice).toMatchObject({code: 'UPSTREAM_REFUSED'});
    expect(notice.message).toContain(free);
    cli.child.kill('SIGINT');
    expect((await cli.outcome).exitCode).toBe(0);
  });
});

describe('tunl relay', () => {
  test('start prints its URL; an agent comes, and SIGTERM ends it with 0', async () => {
    const tokenFile = join(stateDir, 'token');
    await writeFile(tokenFile, 'a-token-that-is-long-enough\n', {mode: 0o600});
    const words = [
      '--domain',
      'r1.localhost',
      '--listen',
      '127.0.0.1:0',
      '--tcp-ports',
      '0',
      '--token-file',
      tokenFile,
    ];
    await using relay = start('relay', 'start', ...words);
    const url = await relay.line();
    expect(url).toMatch(/^https:\/\/r1\.localhost:\d+$/);
    const [, caFile = ''] = await relay.told(/--ca-file (\S+)/);

    await using agent = start(
      'expose',
      port,
      '--relay',
      url,
      '--ca-file',
      caFile,
      '--token-file',
      tokenFile,
      '--json',
    );
    const ready = await event(agent, 'ready');
    expect(ready.relay).toEqual({url, embedded: false});
    expect(await get(ready.url ?? '', caFile)).toBe('hello');
    agent.child.kill('SIGINT');
    expect((await agent.outcome).exitCode).toBe(0);

    await using stranger = start('expose', port, '--relay', url, '--ca-file', caFile, '--json');
    expect((await stranger.outcome).exitCode).toBe(EXIT.refused);

    relay.child.kill('SIGTERM');
    const {stdout, exitCode} = await relay.outcome;
    expect({stdout, exitCode}).toEqual({stdout: `${url}\n`, exitCode: 0});
  });

  test('start --json: listening, draining, stopped', async () => {
    await using relay = start('relay', 'start', '--json', '--listen-http', '127.0.0.1:0');
    const listening: ListeningEvent = await event(relay, 'listening');
    expect(listening.url).toBe(`https://tunl.localhost:${listening.address.port}`);
    expect(listening.http?.host).toBe('127.0.0.1');
    relay.child.kill('SIGINT');
    expect(await event(relay, 'draining')).toMatchObject({connections: 0, timeoutMs: 30_000});
    await event(relay, 'stopped');
    expect((await relay.outcome).exitCode).toBe(0);
  });

  test('a port in use', async () => {
    const {stderr, exitCode} = await runCli(['relay', 'start', '--listen', `127.0.0.1:${port}`], {
      env: env(),
    });
    expect(stderr).toContain('code: LISTEN_IN_USE');
    expect(exitCode).toBe(EXIT.local);
  });

  test('ca prints the path of the certificate, and makes one if there is none', async () => {
    const fresh = await mkdtemp(join(tmpdir(), 'tunl-ca-'));
    const plain = await runCli(['relay', 'ca'], {env: {TUNL_STATE_DIR: fresh}});
    const caFile = plain.stdout.trim();
    expect(existsSync(caFile)).toBe(true);
    expect(await readFile(caFile, 'utf8')).toMatch(/^-----BEGIN CERTIFICATE-----/);
    expect(plain.stderr).toContain('curl');
    expect(plain.exitCode).toBe(0);
    const json = await runCli(['relay', 'ca', '--json'], {env: {TUNL_STATE_DIR: fresh}});
    expect(parseEvent(json.stdout)).toMatchObject({type: 'certificate', caFile});
    await rm(fresh, {recursive: true});
  });
});

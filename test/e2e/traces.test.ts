// Secrets of a relay and its agents: none is in an argument, a log, an answer or a crash report, at any log level.
import {randomBytes} from 'node:crypto';
import {readdirSync, readFileSync} from 'node:fs';
import {readFile, writeFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {createConnection, type Socket} from 'node:net';
import {join} from 'node:path';
import {expect} from 'vitest';
import {ERRORS} from '../../src/lib/core/errors.js';
import {type Cli, runCli} from '../helpers/cli.js';
import {FaultProxy} from '../helpers/fault-proxy.js';
import {atMost} from '../helpers/metric.js';
import {RawAgent} from '../helpers/raw-agent.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {httpUpstream} from '../helpers/upstreams.js';
import {curl} from '../helpers/visitors.js';

const secret = (kind: string) => `${kind}-${randomBytes(18).toString('base64url')}`;
const trace = ['--log-level', 'trace'];
/** Throws an uncaught error at SIGIO. */
const crash = `--import=data:text/javascript,${encodeURIComponent("process.on('SIGIO', () => { throw new Error('made to crash'); });")}`;

/** The command lines of all processes that run now. */
function commandLines(): string {
  const lines: string[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      lines.push(readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
    } catch {
      // It has ended.
    }
  }
  return lines.join('\n');
}

/** Everything that the processes printed, and what the machine shows about them. */
class Heard {
  readonly #parts: [where: string, text: string][] = [];

  add(where: string, text: string): void {
    this.#parts.push([where, text]);
  }

  of(name: string, {stdout, stderr}: {stdout: string; stderr: string}): void {
    this.add(`stdout of ${name}`, stdout);
    this.add(`stderr of ${name}`, stderr);
  }

  /** Where a secret was found: as it is, or in a form that a log may have. */
  places(secrets: Readonly<Record<string, string>>): string[] {
    return Object.entries(secrets).flatMap(([kind, text]) => {
      const bytes = Buffer.from(text);
      const shapes = [text, bytes.toString('base64'), bytes.toString('hex'), encodeURIComponent(text)];
      return this.#parts
        .filter(([, said]) => shapes.some((shape) => said.includes(shape.replace(/=+$/, ''))))
        .map(([where]) => `${kind} in ${where}`);
    });
  }
}

async function visitEverything(scope: Scope, relay: RelayProcess, wrong: string, heard: Heard) {
  const upgrade = [
    ...[
      '--http1.1',
      '-H',
      'Connection: Upgrade',
      '-H',
      'Upgrade: websocket',
      '-H',
      'Sec-WebSocket-Version: 13',
    ],
    ...['-H', 'Sec-WebSocket-Protocol: tunl.v1', '-H', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='],
  ];
  const bearer = ['-H', `Authorization: Bearer ${wrong}`];
  for (const [where, ...more] of [
    ['/'],
    ['/healthz'],
    [`/${wrong}`],
    [`/?token=${wrong}`],
    ['/metrics', ...bearer],
    ['/agent', ...upgrade, ...bearer],
    ['/agent', '-X', 'POST', '-d', wrong],
    ['/', '-H', `Host: ${wrong}`],
  ]) {
    const {stdout} = await curl(scope, relay.caFile, ['-i', ...more, `${relay.url}${where}`]);
    heard.add(`the answer to ${where?.startsWith('/agent') ? where : 'a request'}`, stdout);
  }
}

/** A proxy that requires a name and a password, and connects. */
async function strictProxy(scope: Scope, password: string): Promise<number> {
  const server = createServer();
  server.on('connect', (request, near: Socket) => {
    const wanted = Buffer.from(`joe:${password}`).toString('base64');
    if (request.headers['proxy-authorization'] !== `Basic ${wanted}`) {
      near.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n');
      return;
    }
    const far = createConnection({port: Number(request.url?.split(':')[1]), host: '127.0.0.1'}, () => {
      near.write('HTTP/1.1 200 OK\r\n\r\n');
      near.pipe(far).pipe(near);
    });
    for (const socket of [near, far])
      socket.on('error', () => void [near, far].map((each) => each.destroy()));
    scope.onEnd(() => void far.destroy());
  });
  return scope.listen(server);
}

test('at trace level, with wrong tokens, a cut link, a proxy with a password, and a crash', async ({
  scope,
}) => {
  const token = secret('token');
  const wrong = secret('wrong');
  const password = secret('password');
  const heard = new Heard();
  const env = {NODE_OPTIONS: crash};
  const relay = await startRelayProcess(scope, {token, flags: trace, env});
  const upstream = (await httpUpstream(scope, 'still here')).port;
  const link = await FaultProxy.start(scope, {target: {port: relay.port}});
  const tokenFile = join(await scope.tempDir('token'), 'token');
  await writeFile(tokenFile, `${token}\n`, {mode: 0o600});
  const {TUNL_TOKEN: _, ...withoutToken} = relay.env;
  const {cli: agent, ready} = await relay.expose(upstream, {
    flags: [...trace, '--token-file', tokenFile],
    env: {...env, TUNL_TOKEN: '', TUNL_RELAY: `https://${relay.domain}:${link.port}`},
  });
  const lines = () => heard.add('an argument', commandLines());
  lines();
  // The secret of a session, from the relay's welcome.
  const {ticket} = await RawAgent.begin(scope, {
    port: relay.port,
    domain: relay.domain,
    caFile: relay.caFile,
    token,
  });
  link.reset();
  await agent.event('resumed');
  expect((await curl(scope, relay.caFile, [`${ready.url}/`])).stdout).toBe('still here');
  await visitEverything(scope, relay, wrong, heard);

  const at = {...withoutToken, TUNL_TOKEN: wrong};
  for (const more of [[], ['--json']]) {
    const refused = await runCli(scope, ['expose', '8000', ...trace, ...more], {env: at});
    expect(refused.code).not.toBe(0);
    heard.of('an agent with a wrong token', refused);
  }
  // tunl never uses a proxy for names of this machine.
  const proxyPort = await strictProxy(scope, password);
  for (const user of [`joe:${password}`, `joe:${password}x`, `joe:${password}#1`]) {
    const agentEnv = {...relay.env, HTTPS_PROXY: `http://${user}@127.0.0.1:${proxyPort}`};
    const args = ['expose', '8000', ...trace, '--relay', 'https://relay.example.test:1', '--json'];
    heard.of('an agent behind a proxy', await runCli(scope, args, {env: agentEnv}));
  }
  lines();

  // Without a token the agent's own key identifies it.
  const open = await startRelayProcess(scope, {withToken: false, flags: trace, env});
  const known = await open.expose(upstream, {flags: trace, env});
  const pem = await readFile(join(known.cli.stateDir, 'agent.key'), 'utf8');
  const key = pem.split('\n')[1] ?? '';
  expect(key.length).toBeGreaterThan(40);
  lines();

  const ends: Record<string, Cli> = {agent, relay: relay.cli, 'agent without a token': known.cli};
  for (const [name, each] of Object.entries(ends)) {
    each.signal('SIGIO');
    const {code} = await each.exited;
    expect([name, code]).toEqual([name, ERRORS.UNEXPECTED.exitCode]);
    expect(each.stdout + each.stderr).toContain('made to crash');
  }
  await open.cli.stop();
  for (const [name, each] of Object.entries({...ends, 'relay without a token': open.cli})) {
    // An empty log would prove nothing.
    expect(each.stderr.split('\n').length).toBeGreaterThan(2);
    heard.of(name, each);
  }
  const secrets = {token, wrong, password, key, 'secret of a session': ticket.secret};
  const places = heard.places(secrets).filter((place) => place !== 'wrong in an argument');
  expect(places).toEqual([]);
  expect(atMost('at trace level', 'places where a secret was seen', places.length, 0)).toBe(true);
  // A known place is found: the search works.
  heard.add('the test', Buffer.from(token).toString('base64'));
  expect(heard.places({token})).toEqual(['token in the test']);
});

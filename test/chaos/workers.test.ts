// A relay with several workers: workers that die, sockets that are handed over, resumes that reach another worker, names and
// ports that two workers want.
import {writeFile} from 'node:fs/promises';
import {expect} from 'vitest';
import {accepts} from '../helpers/accepts.js';
import {runCli} from '../helpers/cli.js';
import {childrenOf, commandLine, isAlive, until} from '../helpers/launching.js';
import {frame, RawAgent} from '../helpers/raw-agent.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream, type Recording, record, replyAfterEndUpstream} from '../helpers/upstreams.js';
import {boldVisitor, curl, tcpVisitor, tlsVisitor} from '../helpers/visitors.js';
import {hostName, message, records, serverName} from '../unit/bytes/hellos.js';
import {domain, keptPorts, type Rig, type RigOptions, startRig} from './rig.js';

const several = async (scope: Scope, workers: number, options: RigOptions = {}): Promise<Rig> =>
  await startRig(scope, {...options, flags: [...(options.flags ?? []), `--workers=${workers}`]});

/** The pids of the workers that run, by number. */
function workersOf({cli}: Pick<RelayProcess, 'cli'>): Map<number, number> {
  const workers = childrenOf(cli.pid).filter((pid) => commandLine(pid).includes('workers/main.js'));
  return new Map(workers.map((pid) => [Number(commandLine(pid).split('\0').at(-2)), pid]));
}

/** The number of the worker that bound the key last. */
function workerWith({cli}: Pick<RelayProcess, 'cli'>, key: string): number {
  const lines = cli.stderr.split('\n').filter((line) => line.includes('tunnel bound') && line.includes(key));
  return Number(/worker=(\d+)/.exec(lines.at(-1) ?? '')?.[1] ?? Number.NaN);
}

interface Tunnel {
  host: string;
  port: number;
  key: string;
  cli: Awaited<ReturnType<Rig['expose']>>['cli'];
}

/** Tunnels of separate agents; each worker has some of them. */
async function tunnelsOf(scope: Scope, rig: Rig, count: number, flags: string[] = []): Promise<Tunnel[]> {
  const upstream = await echoUpstream(scope);
  const tunnels: Tunnel[] = [];
  for (let i = 0; i < count; i += 1) {
    const {cli, ready} = await rig.expose(upstream, {flags});
    const host = ready.tls?.host ?? '';
    const key = `tls:${host.split('.')[0]}`;
    // The agent hears of its tunnel before the relay's log does.
    await until(() => workerWith(rig.relay, key) > 0);
    tunnels.push({cli, host, port: rig.relay.port, key});
  }
  return tunnels;
}

async function visit(scope: Scope, rig: Rig, tunnel: Tunnel): Promise<Recording> {
  const visitor = record(await tlsVisitor(scope, tunnel, {caFile: rig.caFile}));
  await echoes(visitor, 'hello');
  return visitor;
}

/** One more round over the open connection. */
async function echoes(visitor: Recording, word: string): Promise<void> {
  const before = visitor.data().length;
  visitor.socket.write(word);
  const said = await visitor.received(before + word.length);
  expect(said.subarray(before).toString()).toBe(word);
}

/** Asks all workers, which tell changes only a little later by themselves. */
async function visitorsOf(scope: Scope, rig: Rig): Promise<number> {
  const {stdout} = await curl(scope, rig.caFile, [`https://${domain}:${rig.relay.port}/healthz`]);
  return (JSON.parse(stdout) as {visitors: number}).visitors;
}

const saidBy = ({cli}: Tunnel) => cli.events.map(({type}) => type).filter((type) => type !== 'connection');

test.for([
  ['one worker', 2, 1],
  ['two workers of four', 4, 2],
] as const)(
  'kill -9 of %s: its agents come back with their names, the others notice nothing',
  async ([, count, dead], {scope}) => {
    const rig = await several(scope, count, {quickRetry: true});
    const tunnels = await tunnelsOf(scope, rig, 2 * count);
    const before = workersOf(rig.relay);
    const killed = [...before.keys()].slice(0, dead);
    const isHit = (tunnel: Tunnel) => killed.includes(workerWith(rig.relay, tunnel.key));
    const [hit, spared] = [tunnels.filter(isHit), tunnels.filter((tunnel) => !isHit(tunnel))];
    expect([hit.length, spared.length]).toEqual([2 * dead, 2 * (count - dead)]);
    const open = await Promise.all(spared.map((tunnel) => visit(scope, rig, tunnel)));
    const lost = await Promise.all(hit.map((tunnel) => visit(scope, rig, tunnel)));

    for (const number of killed) process.kill(before.get(number) ?? 0, 'SIGKILL');
    await Promise.all(lost.map(({ended, closed}) => Promise.race([ended, closed])));
    // Until then a visitor may still be handed over to the dead one, and is reset.
    await until(() => rig.relay.cli.stderr.split('a worker process has ended').length > dead);
    // Visitors that come before the agents are back wait for them.
    await Promise.all(hit.map((tunnel) => visit(scope, rig, tunnel)));
    await Promise.all(open.map((visitor) => echoes(visitor, 'still here')));
    expect(spared.map(saidBy)).toEqual(spared.map(() => ['ready']));
    await until(() => workersOf(rig.relay).size === count);
    expect([...workersOf(rig.relay).keys()].filter((number) => killed.includes(number))).toEqual([]);
  },
);

test('a TCP visitor who comes between two workers: early bytes, their end and the answer arrive', async ({
  scope,
}) => {
  const rig = await several(scope, 2, {quickRetry: true, ...(await keptPorts())});
  const {cli, ready} = await rig.expose(await replyAfterEndUpstream(scope), {flags: ['--tcp']});
  const port = ready.tcp?.port ?? 0;
  await until(() => workerWith(rig.relay, `tcp:${port}`) > 0);
  const worker = workerWith(rig.relay, `tcp:${port}`);
  cli.signal('SIGSTOP');
  process.kill(workersOf(rig.relay).get(worker) ?? 0, 'SIGKILL');
  await rig.relay.cli.saidOnStderr(/a worker process has ended/);
  // The first process listens on the port soon.
  await until(() => accepts(port));
  const visitor = record(await tcpVisitor(scope, port));
  visitor.socket.end(Buffer.alloc(300_000, 'x'));
  cli.signal('SIGCONT');
  await visitor.ended;
  expect(visitor.data().toString()).toMatch(/^[0-9a-f]{64}\n$/);
});

test('half-close and many bytes at once over sockets that were handed over, and one count of all', async ({
  scope,
}) => {
  const rig = await several(scope, 4);
  const {ready} = await rig.expose(await replyAfterEndUpstream(scope));
  const host = ready.tls?.host ?? '';
  for (let round = 0; round < 5; round += 1) {
    const visitor = record(await tlsVisitor(scope, {host, port: rig.relay.port}, {caFile: rig.caFile}));
    visitor.socket.end(Buffer.alloc(100_000, 'y'));
    await visitor.ended;
    expect(visitor.data().toString()).toMatch(/^[0-9a-f]{64}\n$/);
  }
  const said = await curl(scope, rig.caFile, [
    '--max-time',
    '20',
    `https://${domain}:${rig.relay.port}/healthz`,
  ]);
  expect(JSON.parse(said.stdout)).toMatchObject({status: 'ok', agents: 1, tunnels: 1});
});

test('cuts of the links of many agents: every resume reaches the worker with its session', async ({
  scope,
}) => {
  const rig = await several(scope, 4, {quickRetry: true});
  const tunnels = await tunnelsOf(scope, rig, 6);
  expect(new Set(tunnels.map(({key}) => workerWith(rig.relay, key))).size).toBe(4);
  const open = await Promise.all(tunnels.map((tunnel) => visit(scope, rig, tunnel)));
  for (let cut = 1; cut <= 4; cut += 1) {
    rig.proxy.reset();
    await Promise.all(open.map((visitor) => echoes(visitor, `after cut ${cut}`)));
  }
  const codes = tunnels.flatMap(({cli}) =>
    cli.events.flatMap((event) => (event.type === 'reconnecting' ? [event.code] : [])),
  );
  expect(codes).not.toContain('RELAY_BUSY');
  expect(codes).not.toContain('SESSION_UNKNOWN');
});

test('a resume that names no worker is refused once by the wrong one, and the next one is led right', async ({
  scope,
}) => {
  const rig = await several(scope, 3);
  const options = {port: rig.relay.port, domain, caFile: rig.caFile, token: rig.relay.token};
  const {agent, ticket} = await RawAgent.begin(scope, options);
  const visitor = record(await tcpVisitor(scope, await agent.bindTcp()));
  visitor.socket.write('x');
  await agent.frame(({type}) => type === frame.data);
  agent.socket.terminate();
  await agent.closed;
  const words: string[] = [];
  for (let epoch = ticket.epoch + 1; words.at(-1) !== 'welcome' && words.length < 3; epoch += 1) {
    const again = await RawAgent.connect(scope, options);
    await again.resume({...ticket, epoch}, agent.received);
    words.push(await again.answer());
  }
  expect(words).toEqual(['RELAY_BUSY', 'welcome']);
  expect(visitor.socket.destroyed).toBe(false);
});

test('a name and a port over workers: others are refused, and their owner takes them over', async ({
  scope,
}) => {
  const rig = await several(scope, 3, {withToken: false, ...(await keptPorts())});
  const upstream = await echoUpstream(scope);
  const stateDir = await scope.tempDir('owner');
  const flags = ['--subdomain', 'demo', '--tcp'];
  const first = await rig.expose(upstream, {stateDir, flags});
  const port = first.ready.tcp?.port ?? 0;
  const wanted = ['--subdomain', 'demo', '--tcp', '--remote-port', String(port)];
  // Agents go to the workers in turn: one of these is at the same worker as the first one.
  for (let i = 0; i < 3; i += 1) {
    for (const [flag, code] of [
      [['--subdomain', 'demo'], 'NAME_TAKEN'],
      [['--tcp', '--remote-port', String(port)], 'PORT_TAKEN'],
    ] as const) {
      const words = ['expose', String(upstream), '--json', ...flag];
      const {cli} = await runCli(scope, words, {env: rig.env});
      expect(cli.error?.code).toBe(code);
    }
  }
  let last = first;
  for (let i = 0; i < 3; i += 1) {
    const visitor = record(await tcpVisitor(scope, port));
    await echoes(visitor, 'before');
    const next = await rig.expose(upstream, {stateDir, flags: wanted});
    await last.cli.finished();
    expect(last.cli.error?.code).toBe('TAKEN_OVER');
    expect([next.ready.tls?.host, next.ready.tcp?.port]).toEqual([`demo.${domain}`, port]);
    await echoes(record(await tcpVisitor(scope, port)), 'after');
    await echoes(
      record(await tlsVisitor(scope, {host: `demo.${domain}`, port: rig.relay.port}, {caFile: rig.caFile})),
      'after',
    );
    last = next;
  }
  const of = (key: string) => rig.relay.cli.stderr.split('\n').filter((line) => line.includes(`key=${key}`));
  expect(of('tls:demo').filter((line) => line.includes('takeover=true')).length).toBe(3);
});

test('the same agent twice: the second one gets another random name, whichever worker it reaches', async ({
  scope,
}) => {
  const rig = await several(scope, 2);
  const upstream = await echoUpstream(scope);
  const stateDir = await scope.tempDir('agent');
  const hosts = new Set<string>();
  for (let i = 0; i < 4; i += 1) hosts.add((await rig.expose(upstream, {stateDir})).ready.tls?.host ?? '');
  expect(hosts.size).toBe(4);
});

test('SIGTERM to all processes of the relay: open visitors of all workers finish, and no process stays', async ({
  scope,
}) => {
  const rig = await several(scope, 3, {drainTimeout: '20s'});
  const tunnels = await tunnelsOf(scope, rig, 3);
  const open = await Promise.all(tunnels.map((tunnel) => visit(scope, rig, tunnel)));
  const workers = [...workersOf(rig.relay).values()];
  expect(workers.length).toBe(3);
  await until(async () => (await visitorsOf(scope, rig)) === 3);
  const {cli} = rig.relay;
  // A service manager signals all of them.
  cli.signalGroup('SIGTERM');
  expect(await cli.event('draining')).toMatchObject({connections: 3});
  for (const visitor of open) {
    await echoes(visitor, 'the last word');
    visitor.socket.end();
    await visitor.ended;
  }
  expect(await cli.exited).toMatchObject({code: 0});
  expect(cli.events.at(-1)).toMatchObject({type: 'stopped'});
  await until(() => !workers.some(isAlive));
});

test('kill -9 of the first process: no worker stays', async ({scope}) => {
  const relay = await startRelayProcess(scope, {flags: ['--workers=3'], stopSignal: 'SIGKILL'});
  const workers = [...workersOf(relay).values()];
  expect(workers.length).toBe(3);
  relay.cli.signal('SIGKILL');
  await relay.cli.exited;
  await until(() => !workers.some(isAlive));
});

test('SIGHUP: visitors of all workers get the new certificate', async ({scope}) => {
  const rig = await several(scope, 3);
  const tunnels = await tunnelsOf(scope, rig, 3);
  const {caFile} = rig;
  const flags = rig.relay.cli.name.split(' ');
  const [certFile = '', keyFile = ''] = ['--cert-file', '--key-file'].map(
    (flag) => flags[flags.indexOf(flag) + 1],
  );
  const serials = async () =>
    await Promise.all(
      tunnels.map(async (tunnel) => {
        const visitor = await tlsVisitor(scope, tunnel, {caFile});
        return visitor.getPeerX509Certificate()?.serialNumber;
      }),
    );
  const [old] = await serials();
  const leaf = await rig.authority.issue([domain, `*.${domain}`]);
  await writeFile(keyFile, leaf.key);
  await writeFile(certFile, leaf.cert);
  rig.relay.cli.signal('SIGHUP');
  await rig.relay.cli.saidOnStderr(/the certificate was read again/);
  const fresh = new Set(await serials());
  expect(fresh.size).toBe(1);
  expect(fresh).not.toContain(old);
  expect(rig.relay.cli.stderr.match(/the certificate was read again/g)?.length).toBe(1);
});

test('refused tokens of an address count in all workers', async ({scope}) => {
  const relay = await startRelayProcess(scope, {flags: ['--workers=4', '--log-level', 'info']});
  const statuses: number[] = [];
  for (let i = 0; i < 24; i += 1) {
    const {stdout} = await curl(scope, relay.caFile, [
      ...['-o', '/dev/null', '-w', '%{http_code}', '--http1.1', '-H', 'Connection: Upgrade'],
      ...['-H', 'Upgrade: websocket', '-H', 'Sec-WebSocket-Version: 13', '-H', 'Authorization: Bearer wrong'],
      ...['-H', 'Sec-WebSocket-Protocol: tunl.v1', '-H', `Sec-WebSocket-Key: ${'a'.repeat(22)}==`],
      `https://${domain}:${relay.port}/agent`,
    ]);
    statuses.push(Number(stdout));
  }
  // Twenty, and one more each two seconds.
  expect(statuses.slice(0, 20)).toEqual(Array(20).fill(401));
  expect(statuses).toContain(429);
  // One line at once, and a count after ten seconds, whichever worker saw them.
  expect(relay.cli.stderr.match(/a token was refused/g)?.length).toBe(1);
});

test('a crowd of visitors that are reset while they are handed over leaves nothing behind', async ({
  scope,
}) => {
  const rig = await several(scope, 2);
  const [tunnel] = await tunnelsOf(scope, rig, 1);
  if (tunnel === undefined) throw new Error('no tunnel');
  const hello = records(message([serverName(hostName(tunnel.host))]));
  for (let i = 0; i < 200; i += 1) {
    const socket = boldVisitor(scope, rig.relay.port);
    socket.on('error', () => {});
    socket.on('connect', () => {
      socket.write(hello);
      setImmediate(() => socket.resetAndDestroy());
    });
  }
  await until(async () => (await visitorsOf(scope, rig)) === 0);
  await visit(scope, rig, tunnel);
});

test('a limit of an owner counts visitors in all workers', async ({scope}) => {
  const rig = await several(scope, 2, {env: {TUNL_RELAY_MAX_VISITORS_PER_OWNER: '3'}});
  // A probe is a connection of a visitor, too.
  const tunnels = await tunnelsOf(scope, rig, 2, ['--no-probe']);
  const [one, two] = tunnels as [Tunnel, Tunnel];
  expect(workerWith(rig.relay, one.key)).not.toBe(workerWith(rig.relay, two.key));
  // Each worker alone would take three.
  const open = [await visit(scope, rig, one), await visit(scope, rig, one), await visit(scope, rig, two)];
  const comes = async (tunnel: Tunnel) =>
    await tlsVisitor(scope, tunnel, {caFile: rig.caFile}).then(
      (socket) => {
        socket.on('error', () => {});
        socket.destroy();
        return true;
      },
      () => false,
    );
  await until(async () => !(await comes(one)) && !(await comes(two)));
  for (const visitor of open) await echoes(visitor, 'still here');
  open[0]?.socket.destroy();
  await until(async () => await comes(two));
});

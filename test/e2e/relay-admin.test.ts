// `tunl relay status|kick|block|drain|reload` against a running relay, of one process and of several.

import {spawnSync} from 'node:child_process';
import {chmodSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {expect} from 'vitest';
import {runCli} from '../helpers/cli.js';
import {NOBODY, until} from '../helpers/launching.js';
import {RawAgent} from '../helpers/raw-agent.js';
import {type RelayProcess, startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream, record} from '../helpers/upstreams.js';
import {boldVisitor, curl, tlsVisitor} from '../helpers/visitors.js';
import {parseEvent} from '../project/event-schema.js';

/** Runs a command of the operator. Its events are checked against the schema. */
async function admin(scope: Scope, relay: Pick<RelayProcess, 'cli'>, ...words: string[]) {
  const {stdout, code} = await runCli(scope, ['relay', ...words, '--json'], {stateDir: relay.cli.stateDir});
  const events = stdout
    .trim()
    .split('\n')
    .filter(Boolean)
    .map((line) => parseEvent(line) as Record<string, unknown> & {type: string});
  return {code, events, first: events[0]};
}

const sessionsOf = async (scope: Scope, relay: Pick<RelayProcess, 'cli'>) => {
  const {events} = await admin(scope, relay, 'status');
  return events.filter(({type}) => type === 'session') as unknown as {
    session: string;
    owner: string;
    worker?: number;
    tunnels: {key: string; visitors: number; visitorsTotal: number; bytesIn: number; bytesOut: number}[];
  }[];
};

const sockets = ({cli}: Pick<RelayProcess, 'cli'>) => join(cli.stateDir, 'admin');

test.for([1, 2])(
  'a relay with %i worker(s) tells its state, and ends what its operator names',
  async (workers, {scope}) => {
    const relay = await startRelayProcess(scope, {flags: [`--workers=${workers}`]});
    const upstream = await echoUpstream(scope);
    const [demo, atelier] = await Promise.all(
      ['demo', 'atelier'].map((name) => relay.expose(upstream, {flags: ['--subdomain', name]})),
    );
    const {caFile} = relay;
    const at = {host: `demo.${relay.domain}`, port: relay.port};
    const visitor = record(await tlsVisitor(scope, at, {caFile}));
    visitor.socket.write('hello');
    await visitor.received(5);

    const {events} = await admin(scope, relay, 'status');
    expect(events[0]).toMatchObject({
      type: 'relay',
      domain: relay.domain,
      pid: relay.cli.pid,
      state: 'running',
      workers: workers === 1 ? [] : expect.arrayContaining([1, 2]),
      certificate: {kind: 'own-ca'},
      counts: {agents: 2, agentsAway: 0, tunnels: 2, visitors: 1, visitorsTotal: 1, bytesIn: 5, bytesOut: 5},
      blocked: 0,
    });
    const sessions = await sessionsOf(scope, relay);
    expect(sessions.flatMap(({tunnels}) => tunnels.map(({key}) => key)).sort()).toEqual([
      'tls:atelier',
      'tls:demo',
    ]);
    const ofDemo = sessions.find(({tunnels}) => tunnels[0]?.key === 'tls:demo');
    expect(ofDemo?.tunnels[0]).toMatchObject({visitors: 1, visitorsTotal: 1, bytesIn: 5, bytesOut: 5});
    expect(sessions.every(({worker}) => (worker === undefined) === (workers === 1))).toBe(true);

    // One name: its visitors are reset, its agent ends for good, the others stay.
    const kicked = await admin(scope, relay, 'kick', 'demo');
    expect(kicked.first).toEqual({type: 'kicked', what: 'name', subject: 'tls:demo', ended: 1});
    await visitor.closed;
    expect((await demo?.cli.finished())?.code).toBe(4);
    expect(demo?.cli.error).toMatchObject({code: 'KICKED'});
    expect((await sessionsOf(scope, relay)).map(({tunnels}) => tunnels[0]?.key)).toEqual(['tls:atelier']);

    // A name that is not there, and a session by the beginning of its id.
    const nobody = await admin(scope, relay, 'kick', 'demo');
    expect([nobody.code, nobody.first]).toMatchObject([5, {type: 'error', code: 'NOT_CONNECTED'}]);
    const [left] = await sessionsOf(scope, relay);
    const ended = await admin(scope, relay, 'kick', left?.session ?? '');
    expect(ended.first).toMatchObject({type: 'kicked', what: 'session', ended: 1});
    await atelier?.cli.finished();
    expect(atelier?.cli.error).toMatchObject({code: 'KICKED'});

    const reload = await admin(scope, relay, 'reload');
    expect(reload.first).toMatchObject({type: 'reloaded', needRestart: []});

    const drain = await admin(scope, relay, 'drain');
    expect(drain.first).toEqual({type: 'drains', pid: relay.cli.pid, connections: 0});
    expect((await relay.cli.finished()).code).toBe(0);
    expect(relay.cli.events.at(-1)).toEqual({type: 'stopped'});
    expect(readdirSync(sockets(relay))).toEqual([]);
    const gone = await admin(scope, relay, 'status');
    expect([gone.code, gone.first]).toMatchObject([5, {type: 'error', code: 'RELAY_NOT_RUNNING'}]);
  },
);

test.for([1, 2])(
  'with %i worker(s) what is blocked is refused at once, and after a restart',
  async (workers, {scope}) => {
    const stateDir = await scope.tempDir('relay');
    const options = {
      stateDir,
      token: 'a-token-of-16-or-more',
      flags: [`--workers=${workers}`, '--log-level=info'],
    };
    const relay = await startRelayProcess(scope, options);
    const upstream = await echoUpstream(scope);
    const bad = await relay.expose(upstream, {flags: ['--subdomain', 'bad']});
    const tcp = await relay.expose(upstream, {flags: ['--tcp']});
    const tcpPort = tcp.ready.tcp?.port ?? 0;
    const {caFile} = relay;
    const visitor = record(
      await tlsVisitor(scope, {host: `bad.${relay.domain}`, port: relay.port}, {caFile}),
    );

    const name = await admin(scope, relay, 'block', `bad.${relay.domain}`);
    expect(name.first).toMatchObject({
      type: 'blocked',
      state: 'added',
      what: 'name',
      subject: 'tls:bad',
      ended: 1,
    });
    await visitor.closed;
    await bad.cli.finished();
    expect(bad.cli.error).toMatchObject({code: 'BLOCKED'});
    const visit = await curl(scope, caFile, [`https://bad.${relay.domain}:${relay.port}/`]);
    expect(visit.stderr).toContain('unrecognized name');
    const again = await runCli(scope, ['expose', String(upstream), '--subdomain', 'bad', '--json'], {
      env: relay.env,
    });
    expect(again.cli.error).toMatchObject({code: 'BLOCKED'});

    // 127.0.0.2 is another visitor of this machine.
    const [from2, from3] = ['127.0.0.2', '127.0.0.3'].map((from) =>
      record(boldVisitor(scope, tcpPort, '127.0.0.1', from)),
    );
    for (const each of [from2, from3]) {
      each?.socket.write('hello');
      await each?.received(5);
    }
    expect((await admin(scope, relay, 'block', '127.0.0.2/32')).first).toMatchObject({
      what: 'address',
      ended: 0,
    });
    await from2?.closed;
    const refused = record(boldVisitor(scope, tcpPort, '127.0.0.1', '127.0.0.2'));
    refused.socket.write('hello');
    await refused.closed;
    expect(refused.data().length).toBe(0);
    from3?.socket.write('world');
    await from3?.received(10);
    await relay.cli.saidOnStderr(/the operator has blocked the address/);

    const {events} = await admin(scope, relay, 'block', '--list');
    expect(events).toMatchObject([
      {state: 'listed', what: 'name', subject: 'tls:bad'},
      {state: 'listed', what: 'address', subject: '127.0.0.2/32'},
    ]);
    const file = join(stateDir, 'relay', relay.domain, 'blocked.json');
    expect(statSync(file).mode & 0o777).toBe(0o600);

    // The owner: all agents with this token.
    const [session] = await sessionsOf(scope, relay);
    const owner = await admin(scope, relay, 'block', `owner:${session?.owner}`);
    expect(owner.first).toMatchObject({what: 'owner', ended: 1});
    await tcp.cli.finished();
    expect(tcp.cli.error).toMatchObject({code: 'BLOCKED'});
    const back = await runCli(scope, ['expose', String(upstream), '--json'], {env: relay.env});
    expect(back.cli.error).toMatchObject({code: 'BLOCKED'});
    await relay.cli.stop();

    const next = await startRelayProcess(scope, options);
    const stays = await runCli(scope, ['expose', String(upstream), '--json'], {env: next.env});
    expect(stays.cli.error).toMatchObject({code: 'BLOCKED'});
    await admin(scope, next, 'block', `owner:${session?.owner}`, '--remove');
    const removed = await admin(scope, next, 'block', 'bad', '--remove');
    expect(removed.first).toEqual({type: 'blocked', state: 'removed', what: 'name', subject: 'tls:bad'});
    await next.expose(upstream, {flags: ['--subdomain', 'bad']});
    await next.cli.stop();

    // A list that cannot be read blocks nobody, so the relay does not start with it.
    writeFileSync(file, readFileSync(file, 'utf8').slice(0, -9));
    const broken = await runCli(scope, ['relay', 'start', '--json', '--domain', relay.domain], {stateDir});
    expect(broken.cli.error).toMatchObject({
      code: 'STATE_DIR',
      message: expect.stringContaining('blocked.json'),
    });
    expect(readFileSync(file, 'utf8')).toContain('127.0.0.2');
  },
);

test.for([1, 2])(
  'with %i worker(s) a block ends what an address has begun, and sessions that have moved there',
  async (workers, {scope}) => {
    const relay = await startRelayProcess(scope, {flags: [`--workers=${workers}`]});
    const {domain, port, caFile, token} = relay;
    const at = {port, domain, caFile, token};
    // Without a hello its connection has no session yet.
    const early = await RawAgent.connect(scope, {...at, from: '127.0.0.2'});
    const {agent: stays} = await RawAgent.begin(scope, {...at, from: '127.0.0.3'});
    const {agent: first, ticket} = await RawAgent.begin(scope, {...at, from: '127.0.0.3'});
    first.socket.terminate();
    const moved = await RawAgent.connect(scope, {...at, of: ticket, from: '127.0.0.2'});
    await moved.resume({...ticket, epoch: ticket.epoch + 1}, first.received);
    expect(await moved.answer()).toBe('welcome');
    const silent = record(boldVisitor(scope, port, '127.0.0.1', '127.0.0.2'));

    expect((await admin(scope, relay, 'block', '127.0.0.2')).first).toMatchObject({
      what: 'address',
      ended: 1,
    });
    expect(await moved.lastWord()).toBe('BLOCKED');
    await Promise.all([early.closed, silent.closed]);
    // It is served as before.
    await stays.bindTcp();
  },
);

test('an agent that ignores a kick does not keep its visitors', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const {domain, caFile, token} = relay;
  const {agent} = await RawAgent.begin(scope, {port: relay.port, domain, caFile, token});
  const port = await agent.bindTcp();
  const visitor = record(boldVisitor(scope, port));
  await until(async () => (await sessionsOf(scope, relay))[0]?.tunnels[0]?.visitors === 1);
  expect((await admin(scope, relay, 'kick', `tcp:${port}`)).first).toMatchObject({what: 'name', ended: 1});
  await visitor.closed;
  expect((await sessionsOf(scope, relay))[0]?.tunnels).toEqual([]);
});

test('two relays of one state folder are told apart', async ({scope}) => {
  const stateDir = await scope.tempDir('relay');
  const [one, two] = await Promise.all(
    ['r1.localhost', 'r2.localhost'].map((domain) => startRelayProcess(scope, {stateDir, domain})),
  );
  const several = await admin(scope, {cli: one?.cli ?? (two as RelayProcess).cli}, 'status');
  expect(several.first).toMatchObject({type: 'error', code: 'RELAYS_SEVERAL'});
  for (const relay of [one, two]) {
    const {first} = await admin(scope, relay as RelayProcess, 'status', '--pid', String(relay?.cli.pid));
    expect(first).toMatchObject({type: 'relay', domain: relay?.domain});
  }
  // The socket of a process that was killed is no relay.
  await one?.cli.stop('SIGKILL');
  expect((await admin(scope, two as RelayProcess, 'status')).first).toMatchObject({domain: 'r2.localhost'});
});

test('another user cannot ask', async ({scope}) => {
  if (process.getuid?.() !== 0) return;
  const relay = await startRelayProcess(scope);
  const folder = sockets(relay);
  const [socket = ''] = readdirSync(folder);
  expect(statSync(join(folder, socket)).mode & 0o777).toBe(0o600);
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  const ask = (uid: number) =>
    spawnSync(
      process.execPath,
      [
        '-e',
        `require('node:net').connect(${JSON.stringify(join(folder, socket))}).on('error', ({code}) => console.log(code)).on('data', (piece) => console.log(String(piece))).write('{"do":"who"}\\n')`,
      ],
      {uid, gid: uid, encoding: 'utf8', timeout: 60_000},
    ).stdout;
  expect(ask(NOBODY)).toBe('EACCES\n');
  // Even in an open folder: the socket has a mode of its own.
  for (const open of [relay.cli.stateDir, folder]) chmodSync(open, 0o755);
  expect(ask(NOBODY)).toBe('EACCES\n');
  expect(ask(0)).toContain(relay.domain);
});

test('junk on the socket is refused, and the relay goes on', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const [socket = ''] = readdirSync(sockets(relay));
  const {connect} = await import('node:net');
  const say = (bytes: string) =>
    new Promise<string>((resolve) => {
      let text = '';
      connect(join(sockets(relay), socket))
        .on('data', (piece) => {
          text += String(piece);
        })
        .on('close', () => resolve(text))
        .on('error', () => {})
        .end(bytes);
    });
  for (const bytes of [
    'x\n',
    '{}\n',
    '{"do":"status","words":"x"}\n',
    '{"do":"__proto__"}\n',
    '{"do":"kick","words":[1]}\n',
    `{"do":"kick","words":["${'x'.repeat(600)}"]}\n`,
    'x'.repeat(9_000),
  ])
    expect(await say(bytes), bytes.slice(0, 40)).toBe('{"ok":false}\n');
  expect(await say('{"do":"block","words":["no name!"]}\n')).toContain('NAME_INVALID');
  expect(await say('{"do":"block","words":["10.0.0.0/99"]}\n')).toContain('OPTION_INVALID');
  const {first} = await admin(scope, relay, 'status');
  expect(first).toMatchObject({type: 'relay', blocked: 0});
});

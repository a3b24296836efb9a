// Without a link: what the user sees, how long the agent tries, and when it comes back.
import {once} from 'node:events';
import {readFile} from 'node:fs/promises';
import {createServer} from 'node:https';
import {describe} from 'vitest';
import {startCli} from '../helpers/cli.js';
import {FaultProxy} from '../helpers/fault-proxy.js';
import {startRelayProcess} from '../helpers/relay.js';
import {type Scope, unusedPort} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream, record} from '../helpers/upstreams.js';
import {tcpVisitor} from '../helpers/visitors.js';
import {leased} from './lease-table.js';
import {certificateFlags, domain, keptPorts, startRig} from './rig.js';

async function greet(scope: Scope, port: number) {
  const visitor = record(await tcpVisitor(scope, port));
  visitor.socket.write('hello');
  await visitor.received(5);
  return visitor;
}

describe.concurrent('without a link', () => {
  test('that carried no visitor: the agent comes back by itself, and visitors are served', async ({
    scope,
    expect,
  }) => {
    const rig = await startRig(scope);
    const {cli, ready} = await rig.expose(await echoUpstream(scope), {flags: ['--tcp']});
    await rig.proxy.refuse();
    rig.proxy.reset();
    const lost = await cli.event('reconnecting');
    expect(lost).toMatchObject({code: 'RELAY_LOST', attempt: 1, connections: 0, keptForMs: 600_000});
    await cli.event('reconnecting', ({attempt}) => attempt === 3);
    await rig.proxy.accept();
    expect(await cli.event('resumed')).toMatchObject({resumed: 0, lost: 0});
    await greet(scope, ready.tcp?.port ?? 0);
  });

  test('the user gets one line about what is kept, and one when the link is back', async ({
    scope,
    expect,
  }) => {
    const rig = await startRig(scope);
    const args = ['expose', String(await echoUpstream(scope)), '--tcp'];
    const cli = await startCli(scope, args, {env: rig.env});
    const port = Number((await cli.line()).split(':')[1]);
    const visitors = [await greet(scope, port), await greet(scope, port)];
    await rig.proxy.refuse();
    rig.proxy.reset();
    await cli.saidOnStderr(/link lost, keeping 2 connections for 10 min\n/);
    await rig.proxy.accept();
    await cli.saidOnStderr(/link back after \S+ m?s, 2 connections resumed, 0 lost\n/);
    for (const {socket} of visitors) socket.write('again');
    await Promise.all(visitors.map((each) => each.received(10)));
    expect(cli.lines.length).toBe(1);
  });

  test('a relay that asks for a pause gets it', async ({scope, expect}) => {
    const {flags, caFile} = await certificateFlags(scope);
    const options = {...(await keptPorts()), stateDir: await scope.tempDir('relay'), flags};
    const relay = await startRelayProcess(scope, options);
    const env = {TUNL_CA_FILE: caFile};
    const {cli, ready} = await relay.expose(await echoUpstream(scope), {flags: ['--tcp'], env});
    await leased(options.stateDir, [ready]);
    const [, certFile = '', , keyFile = ''] = flags;
    const busy = createServer({cert: await readFile(certFile), key: await readFile(keyFile)});
    const asked: number[] = [];
    busy.on('request', (_request, response) => {
      asked.push(performance.now());
      response.writeHead(503, {'retry-after': '2'}).end();
    });
    relay.cli.signal('SIGKILL');
    await relay.cli.exited;
    await scope.listen(busy, '127.0.0.1', relay.port);
    const {delayMs} = await cli.event('reconnecting', ({code}) => code === 'RELAY_BUSY');
    expect(delayMs).toBeGreaterThanOrEqual(2_000);
    while (asked.length < 2) await once(busy, 'request');
    const [first = 0, second = 0] = asked;
    // A timer may be a millisecond early.
    expect(second - first).toBeGreaterThanOrEqual(1_999);
    busy.close();
    busy.closeAllConnections();
    await startRelayProcess(scope, {...options, token: relay.token});
    await cli.event('resumed');
    await greet(scope, ready.tcp?.port ?? 0);
    expect(cli.events.filter(({type}) => type === 'ready').length).toBe(1);
  });

  test('the first link is waited for only with --wait', async ({scope, expect}) => {
    const {flags, caFile} = await certificateFlags(scope);
    const port = await unusedPort();
    const token = 'a-token-that-is-long-enough';
    const env = {TUNL_CA_FILE: caFile, TUNL_TOKEN: token, TUNL_RELAY: `https://${domain}:${port}`};
    const args = ['expose', String(await echoUpstream(scope)), '--tcp', '--json'];
    const hasty = await startCli(scope, args, {env});
    expect((await hasty.exited).code).toBe(3);
    expect(hasty.events.map(({type}) => type)).toEqual(['error']);
    expect(hasty.error).toMatchObject({code: 'RELAY_REFUSED'});

    const patient = await startCli(scope, [...args, '--wait'], {env});
    expect(await patient.event('reconnecting')).toMatchObject({code: 'RELAY_REFUSED', connections: 0});
    await startRelayProcess(scope, {flags, token, listen: `127.0.0.1:${port}`});
    const {tcp} = await patient.event('ready');
    await greet(scope, tcp?.port ?? 0);

    const wrong = {...env, TUNL_TOKEN: 'another-token-of-that-length'};
    const refused = await startCli(scope, [...args, '--wait'], {env: wrong});
    await refused.exited;
    expect(refused.error).toMatchObject({code: 'TOKEN_WRONG'});
  });

  test('--max-retry-time ends the attempts, also when no server answers', async ({scope, expect}) => {
    const rig = await startRig(scope);
    const upstream = await echoUpstream(scope);
    const proxy = await FaultProxy.start(scope, {target: {port: rig.relay.port}});
    const env = {TUNL_RELAY: `https://${domain}:${proxy.port}`};
    const {cli} = await rig.expose(upstream, {flags: ['--tcp', '--max-retry-time', '2s'], env});
    proxy.reset();
    proxy.blackhole('drop');
    expect((await cli.exited).code).toBe(3);
    expect(cli.error).toMatchObject({code: 'RELAY_LOST', message: expect.stringContaining('gave up')});

    const args = ['expose', String(upstream), '--json', '--wait', '--max-retry-time', '1s'];
    const first = await startCli(scope, args, {env: {...rig.env, ...env}});
    expect((await first.exited).code).toBe(3);
    expect(first.error).toMatchObject({code: 'RELAY_TIMEOUT'});
  });
});

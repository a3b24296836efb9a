// An orderly end: the other side is told at once, and bytes under way arrive, although the process ends.
import {describe} from 'vitest';
import {MiB, pieces} from '../helpers/bytes.js';
import {startCli} from '../helpers/cli.js';
import {until} from '../helpers/launching.js';
import {type Scope, unusedPortRange} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {echoUpstream, record, tcpUpstream} from '../helpers/upstreams.js';
import {boldVisitor, curl, tcpVisitor} from '../helpers/visitors.js';
import {domain, type Rig, sleep, startRig} from './rig.js';

async function health(scope: Scope, {caFile, relay}: Rig) {
  const {stdout} = await curl(scope, caFile, [`https://${domain}:${relay.port}/healthz`]);
  return JSON.parse(stdout) as {agents: number; tunnels: number; visitors: number};
}

describe.concurrent('a process that leaves', () => {
  test.for(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'an agent that gets %s is gone for its relay when its process has ended',
    async (signal, {scope, expect}) => {
      const rig = await startRig(scope);
      const {cli} = await rig.expose(await tcpUpstream(scope, () => {}));
      expect(await health(scope, rig)).toMatchObject({agents: 1, tunnels: 1});
      cli.signal(signal);
      expect(await cli.exited).toEqual({code: 0, signal: null});
      expect(await health(scope, rig)).toMatchObject({agents: 0, tunnels: 0});
    },
  );

  test('an agent that gets a second signal resets its visitors at once, and is gone for its relay', async ({
    scope,
    expect,
  }) => {
    const rig = await startRig(scope);
    const flags = ['--tcp', '--drain-timeout', '10m'];
    const {cli, ready} = await rig.expose(await echoUpstream(scope), {flags});
    const visitor = record(await tcpVisitor(scope, ready.tcp?.port ?? 0));
    visitor.socket.write('hello');
    await visitor.received(5);
    cli.signal('SIGINT');
    await cli.event('draining');
    // Two signals close together count as one key press; the second press of a person comes later.
    await sleep(400);
    cli.signal('SIGINT');
    expect(await cli.exited).toEqual({code: 130, signal: null});
    expect(await health(scope, rig)).toMatchObject({agents: 0, tunnels: 0, visitors: 0});
    expect(await visitor.closed).toBe('ECONNRESET');
  });

  test('an agent that is refused its port is gone for its relay when its process has ended', async ({
    scope,
    expect,
  }) => {
    const rig = await startRig(scope, {tcpPorts: await unusedPortRange(8)});
    const args = ['expose', '8000', '--tcp', '--remote-port', '1', '--json'];
    const cli = await startCli(scope, args, {env: rig.env});
    expect((await cli.exited).code).toBe(5);
    expect(cli.error).toMatchObject({code: 'PORT_NOT_OFFERED'});
    expect(await health(scope, rig)).toMatchObject({agents: 0, tunnels: 0});
  });

  test('an agent whose name is taken over is gone for its relay, and its visitors are reset at once', async ({
    scope,
    expect,
  }) => {
    const rig = await startRig(scope);
    const flags = ['--tcp', '--subdomain', 'demo'];
    const {cli, ready} = await rig.expose(await echoUpstream(scope), {flags});
    const visitor = record(await tcpVisitor(scope, ready.tcp?.port ?? 0));
    visitor.socket.write('hello');
    await visitor.received(5);
    await rig.expose(await echoUpstream(scope), {flags: ['--subdomain', 'demo']});
    expect((await cli.exited).code).toBe(5);
    expect(cli.error).toMatchObject({code: 'TAKEN_OVER'});
    expect(await health(scope, rig)).toMatchObject({agents: 1, tunnels: 1, visitors: 0});
    expect(await visitor.closed).toBe('ECONNRESET');
    // Nobody waits at the port of an agent that has left.
    const late = record(boldVisitor(scope, ready.tcp?.port ?? 0));
    expect(await late.closed).toBe('ECONNREFUSED');
  });

  test('a complete reply of the upstream arrives over a slow link although the agent is stopped', async ({
    scope,
    expect,
  }) => {
    const rig = await startRig(scope);
    const reply = Buffer.concat([...pieces(MiB)]);
    const port = await tcpUpstream(scope, (socket) => {
      socket.on('end', () => socket.end(reply));
      socket.resume();
    });
    const flags = ['--tcp', '--drain-timeout', '60s'];
    const {cli, ready} = await rig.expose(port, {flags});
    rig.proxy.setRate('up', 500_000);
    const visitor = record(await tcpVisitor(scope, ready.tcp?.port ?? 0));
    visitor.socket.end();
    // For the agent the visitor is gone; the rest of the reply waits for the link.
    await cli.event('connection', ({state}) => state === 'closed');
    expect(visitor.data().length).toBeLessThan(MiB);
    cli.signal('SIGTERM');
    expect(await visitor.closed).toBeUndefined();
    expect(visitor.data().equals(reply)).toBe(true);
    expect(await cli.exited).toEqual({code: 0, signal: null});
  });

  test('a complete upload of a visitor arrives over a slow link although the relay is stopped', async ({
    scope,
    expect,
  }) => {
    const rig = await startRig(scope, {drainTimeout: '60s'});
    const sent = Buffer.concat([...pieces(MiB)]);
    const got = Promise.withResolvers<Buffer>();
    const port = await tcpUpstream(scope, (socket) => {
      // The upstream sends nothing: when the visitor has sent everything, the relay is done with both.
      socket.end();
      const recording = record(socket);
      socket.on('end', () => got.resolve(recording.data()));
    });
    const {ready} = await rig.expose(port, {flags: ['--tcp']});
    rig.proxy.setRate('down', 500_000);
    const visitor = await tcpVisitor(scope, ready.tcp?.port ?? 0);
    visitor.resume();
    visitor.end(sent);
    await until(async () => (await health(scope, rig)).visitors === 0);
    rig.relay.cli.signal('SIGTERM');
    expect((await got.promise).equals(sent)).toBe(true);
    expect(await rig.relay.cli.exited).toEqual({code: 0, signal: null});
  });
});

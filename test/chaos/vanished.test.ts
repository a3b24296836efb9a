// Visitors whose machine vanishes silently while nobody sends anything: TCP keepalive notices.
import {execFileSync} from 'node:child_process';
import {Child} from '../helpers/child.js';
import {twoHosts} from '../helpers/net-ns.js';
import {startRelayProcess} from '../helpers/relay.js';
import {test} from '../helpers/test.js';

/** While sent bytes are unacknowledged, the kernel sends them again for a quarter of an hour, without keepalive probes. */
async function acknowledged(namespace: string): Promise<void> {
  const unsent = () =>
    execFileSync('ip', ['netns', 'exec', namespace, 'ss', '-Htn', 'state', 'established'], {encoding: 'utf8'})
      .split('\n')
      .some((row) => Number(row.trim().split(/\s+/)[1] ?? 0) > 0);
  while (unsent()) await new Promise(setImmediate);
}

test('a silent visitor that has vanished is noticed; one that is only silent stays', async ({
  scope,
  expect,
}) => {
  const wire = await twoHosts(scope, {'r1.example.test': 'one'});
  const {namespace: here} = wire.one;
  const {namespace: there} = wire.two;
  const relay = await startRelayProcess(scope, {
    ...{domain: 'r1.example.test', listen: '0.0.0.0:443', tcpPorts: '20000-20009', namespace: here},
    flags: ['--keep-alive', '2s'],
  });
  const echo = Child.start(scope, 'socat', ['-d', '-d', 'TCP-LISTEN:8000,fork,reuseaddr', 'EXEC:cat'], {
    namespace: here,
  });
  await echo.saidOnStderr(/listening on/);
  const {cli, ready} = await relay.expose(8000, {namespace: here, flags: ['--tcp']});
  const tcp = ready.tcp ?? {host: '', port: 0};
  const tls = ready.tls ?? {host: '', port: 0};
  const say = async (visitor: Child) => {
    visitor.stdin.write('hello\n');
    await visitor.line((line) => line === 'hello');
  };
  const visit = async (command: string, args: string[], namespace: string) => {
    const visitor = Child.start(scope, command, args, {namespace, stdin: true, stopSignal: 'SIGKILL'});
    await say(visitor);
    return visitor;
  };
  const plain = [wire.one.address, String(tcp.port)];
  const secure = ['s_client', '-quiet', '-connect', `${wire.one.address}:443`, '-servername', tls.host];
  const neighbour = await visit('nc', plain, here);
  await visit('nc', plain, there);
  await visit('openssl', secure, there);
  await acknowledged(here);
  await wire.cut();
  const closed = (via: string) =>
    cli.event('connection', (event) => event.state === 'closed' && event.via === via);
  expect([await closed('tcp'), await closed('tls')]).toMatchObject([
    {visitor: expect.stringContaining(wire.two.address)},
    {visitor: expect.stringContaining(wire.two.address)},
  ]);
  await say(neighbour);
});

// An upstream with two addresses. One is silent, and the network loses the first packet to the other.
import {appendFile} from 'node:fs/promises';
import {Child} from '../helpers/child.js';
import {twoHosts} from '../helpers/net-ns.js';
import {startRelayProcess} from '../helpers/relay.js';
import {test} from '../helpers/test.js';

test('a lost SYN beside a silent address delays a visitor by a second, and loses none', async ({
  scope,
  expect,
}) => {
  const wire = await twoHosts(scope, {'r1.example.test': 'one', 'upstream.example.test': 'two'});
  const {namespace: here} = wire.one;
  const {namespace: there} = wire.two;
  for (const [of, address] of [
    [wire.one, 'fd00:213::2/64'],
    [wire.two, 'fd00:213::1/64'],
  ] as const) {
    const [device = ''] = (await of.run('ip', '-o', 'link')).match(/\bv\w+(?=@)/) ?? [];
    await of.run('ip', 'address', 'add', address, 'dev', device, 'nodad');
  }
  await appendFile(`/etc/netns/${here}/hosts`, 'fd00:213::1 upstream.example.test\n');
  const relay = await startRelayProcess(scope, {
    ...{domain: 'r1.example.test', listen: '0.0.0.0:443', tcpPorts: '20000-20009', namespace: here},
  });
  const echo = ['-d', '-d', 'TCP6-LISTEN:8000,fork,reuseaddr', 'EXEC:cat'];
  const upstream = Child.start(scope, 'socat', echo, {namespace: there});
  await upstream.saidOnStderr(/listening on/);
  const {ready} = await relay.expose('upstream.example.test:8000', {namespace: here, flags: ['--tcp']});
  // The first address in the order of this resolver: a dial that gives up on it is left with the silent one.
  await wire.two.run('nft', 'add rule inet faults input ip protocol tcp tcp dport 8000 drop');
  const first = 'ip6 nexthdr tcp tcp dport 8000 tcp flags & (syn | ack) == syn numgen inc mod 2 == 0';
  await wire.two.run('nft', `add rule inet faults input ${first} counter drop`);

  const at = ready.tcp ?? {host: '', port: 0};
  const visitor = Child.start(scope, 'nc', [at.host, String(at.port)], {namespace: here, stdin: true});
  visitor.stdin.write('hello\n');
  await visitor.line((line) => line === 'hello');
  // TCP keepalive would probe it before two hours have passed.
  const sockets = () => wire.one.run('ss', '--tcp', '--numeric', '--options', 'dport = :8000');
  // Keepalive begins when a connection has lived for a second.
  while (!(await sockets()).includes('timer:(keepalive,')) await new Promise(setImmediate);
  expect(await sockets()).toMatch(/timer:\(keepalive,(30|2\d)sec,0\)/);
  expect(await wire.two.run('nft', 'list', 'chain', 'inet', 'faults', 'input')).toMatch(/counter packets 1 /);
});

// An upstream with two addresses, one of which is silent, on a network that loses the first packet to the other one.
import {appendFile} from 'node:fs/promises';
import {Child} from '../helpers/child.js';
import {twoHosts} from '../helpers/net-ns.js';
import {startRelayProcess} from '../helpers/relay.js';
import {test} from '../helpers/test.js';

test('a lost SYN beside a silent address costs a second, and no visitor', async ({scope, expect}) => {
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
  // The first of the two, as the name is resolved here: whoever gives it up is left with the silent one.
  await wire.two.run('nft', 'add rule inet faults input ip protocol tcp tcp dport 8000 drop');
  const first = 'ip6 nexthdr tcp tcp dport 8000 tcp flags & (syn | ack) == syn numgen inc mod 2 == 0';
  await wire.two.run('nft', `add rule inet faults input ${first} counter drop`);

  const at = ready.tcp ?? {host: '', port: 0};
  const visitor = Child.start(scope, 'nc', [at.host, String(at.port)], {namespace: here, stdin: true});
  visitor.stdin.write('hello\n');
  await visitor.line((line) => line === 'hello');
  // It would be found out about before its two hours are over.
  const sockets = () => wire.one.run('ss', '--tcp', '--numeric', '--options', 'dport = :8000');
  // Keepalive begins when a connection has lived for a second.
  while (!(await sockets()).includes('timer:(keepalive,')) await new Promise(setImmediate);
  expect(await sockets()).toMatch(/timer:\(keepalive,(30|2\d)sec,0\)/);
  expect(await wire.two.run('nft', 'list', 'chain', 'inet', 'faults', 'input')).toMatch(/counter packets 1 /);
});

// The agent's machine gets another address while visitors are connected: packets to the old address are lost, the visitors
// are not.
import {Child} from '../helpers/child.js';
import {atMost} from '../helpers/metric.js';
import {twoHosts} from '../helpers/net-ns.js';
import {startRelayProcess} from '../helpers/relay.js';
import {test} from '../helpers/test.js';
import {sleep} from './rig.js';

test('another address: the link is renewed before its silence is noticed', async ({scope, expect}) => {
  const wire = await twoHosts(scope, {'r1.example.test': 'one'});
  const {namespace: there} = wire.one;
  const {namespace: here} = wire.two;
  const relay = await startRelayProcess(scope, {
    ...{domain: 'r1.example.test', listen: '0.0.0.0:443', tcpPorts: '20000-20009', namespace: there},
  });
  const echo = ['-d', '-d', 'TCP-LISTEN:8000,bind=127.0.0.1,fork,reuseaddr', 'EXEC:cat'];
  const upstream = Child.start(scope, 'socat', echo, {namespace: here});
  await upstream.saidOnStderr(/listening on/);
  const {cli, ready} = await relay.expose(8000, {namespace: here, flags: ['--tcp']});

  const at = ready.tcp ?? {host: '', port: 0};
  const visitor = Child.start(scope, 'nc', [at.host, String(at.port)], {namespace: there, stdin: true});
  const say = async (word: string) => {
    visitor.stdin.write(`${word}\n`);
    await visitor.line((line) => line === word);
  };
  await say('before');
  await wire.move();
  const since = performance.now();
  await say('after');
  // The silence of the old link would be noticed after 15 s.
  expect(atMost('another address', 'ms until a visitor is answered', performance.now() - since, 5_000)).toBe(
    true,
  );
  // From an address that is gone before anybody answers: this attempt fails.
  await wire.cut();
  await wire.move();
  await sleep(1_500);
  await wire.move();
  await wire.mend();
  const again = performance.now();
  await say('again');
  const lateMs = performance.now() - again;
  expect(atMost('another address twice', 'ms until a visitor is answered', lateMs, 5_000)).toBe(true);
  expect(visitor.lines).toEqual(['before', 'after', 'again']);
  const lost = cli.events.flatMap((event) => (event.type === 'resumed' ? [event.lost] : []));
  expect(lost.every((count) => count === 0)).toBe(true);
  expect(cli.events.filter(({type}) => type === 'ready').length).toBe(1);
});

// Two members, each behind a router that gives every connection another source port and lets nothing in: they meet at the
// relay. Needs root; nothing outside the namespaces changes.

import {expect} from 'vitest';
import {Child, run} from '../helpers/child.js';
import {entry} from '../helpers/cli.js';
import {addHost, type Host, succeed, twoHosts} from '../helpers/net-ns.js';
import {startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';

const RELAY = 'r1.example.test';

/** A host behind the router, in a network of its own. */
async function behind(scope: Scope, router: Host, net: number, relayAt: string): Promise<Host> {
  const namespace = `${router.namespace}-in`;
  const address = `10.77.${net}.2`;
  const host = await addHost(scope, {namespace, address, hosts: {[RELAY]: relayAt}});
  const [inner, outer] = [
    `n${net}${router.namespace.slice(5, 11)}`,
    `m${net}${router.namespace.slice(5, 11)}`,
  ];
  await succeed(['ip', 'link', 'add', inner, 'type', 'veth', 'peer', 'name', outer]);
  await succeed(['ip', 'link', 'set', inner, 'netns', namespace]);
  await succeed(['ip', 'link', 'set', outer, 'netns', router.namespace]);
  await host.run('ip', 'address', 'add', `${address}/24`, 'dev', inner);
  await host.run('ip', 'link', 'set', inner, 'up');
  await router.run('ip', 'address', 'add', `10.77.${net}.1/24`, 'dev', outer);
  await router.run('ip', 'link', 'set', outer, 'up');
  await host.run('ip', 'route', 'add', 'default', 'via', `10.77.${net}.1`);
  await router.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward');
  await router.run(
    'nft',
    `table ip nat { chain out { type nat hook postrouting priority 100; ip saddr 10.77.${net}.0/24 masquerade random; }
chain in { type filter hook forward priority 0; iifname != "${outer}" ct state new drop; }
}`,
  );
  return host;
}

test('two members behind routers that let nothing in', async ({scope}) => {
  const wire = await twoHosts(scope, {[RELAY]: 'one'});
  const relay = await startRelayProcess(scope, {
    domain: RELAY,
    listen: '0.0.0.0:443',
    namespace: wire.one.namespace,
  });
  const left = await behind(scope, wire.one, 1, wire.one.address);
  const right = await behind(scope, wire.two, 2, wire.one.address);
  const start = async (host: Host, words: readonly string[]): Promise<Child> => {
    const folder = await scope.tempDir('machine');
    return Child.start(scope, process.execPath, [entry, 'net', ...words, '--json'], {
      namespace: host.namespace,
      env: {...relay.env, TUNL_CA_FILE: relay.caFile, TUNL_STATE_DIR: folder, TMPDIR: folder},
    });
  };
  const page = await scope.tempDir('page');
  await run(scope, 'sh', ['-c', `echo the page of a member > ${page}/index.html`]);
  const web = Child.start(scope, 'python3', ['-u', '-m', 'http.server', '8000', '-d', page], {
    namespace: right.namespace,
    stopSignal: 'SIGINT',
  });
  await web.line((line) => line.startsWith('Serving HTTP'));
  const serve = await start(right, ['serve', 'lab', '--name', 'web', '8000', '--direct']);
  await serve.line((line) => line.includes('"type":"network"'));

  const forward = await start(left, ['forward', 'lab', 'web:8000']);
  const ready = await forward.line((line) => line.includes('"type":"member-port"'));
  const {address} = JSON.parse(ready) as {address: string};
  expect(await left.run('curl', '-sS', '--fail', `http://${address}/`)).toBe('the page of a member\n');

  const list = await start(left, ['list', 'lab']);
  const listed = await list.line((line) => line.includes('"name":"web"'));
  expect(JSON.parse(listed)).toMatchObject({type: 'member', path: 'relay'});
  // The routers do keep others out.
  const direct = run(scope, 'ip', [
    'netns',
    'exec',
    left.namespace,
    'curl',
    '-m',
    '1',
    `http://${right.address}:8000/`,
  ]);
  expect((await direct).code).not.toBe(0);
});

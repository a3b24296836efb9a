import {createServer} from 'node:net';
import {pipeline} from 'node:stream/promises';
import {expect} from 'vitest';
import {startBrowser} from '../../helpers/browser.js';
import {Digest, pieces, sha256Of, source} from '../../helpers/bytes.js';
import {Child, run} from '../../helpers/child.js';
import {twoHosts} from '../../helpers/net-ns.js';
import {Scope, unusedPort, unusedPortRange} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';
import {httpUpstream} from '../../helpers/upstreams.js';

test('a scope ends what it owns, last one first', async () => {
  const ended: string[] = [];
  {
    await using scope = new Scope();
    scope.onEnd(() => void ended.push('first'));
    scope.onEnd(() => void ended.push('second'));
    const port = await scope.listen(createServer());
    expect(port).toBeGreaterThan(0);
  }
  expect(ended).toEqual(['second', 'first']);
});

/** Before all other tests with ports: this process has none yet. */
test('a port that another test process has is not returned, also while nobody listens there', async ({
  scope,
}) => {
  const [first, count] = [32_000, 600];
  // Some of them may belong to tests that run beside this one.
  const locks = `
    const {createServer} = require('node:net');
    const taken = [];
    let left = ${count};
    const one = () => --left || console.log(JSON.stringify(taken));
    for (let port = ${first}; port < ${first + count}; port++) {
      const server = createServer().once('error', one);
      server.listen({path: '\\0tunl-test-port-' + port}, () => {
        taken.push(port);
        one();
      });
    }`;
  const other = Child.start(scope, process.execPath, ['-e', locks]);
  const taken = JSON.parse(await other.line()) as number[];
  expect(taken.length).toBeGreaterThan(count / 2);
  const ports = await Promise.all(Array.from({length: 20}, () => unusedPort()));
  expect(ports.filter((port) => taken.includes(port))).toEqual([]);
});

test('ports that are requested at the same time differ, and are below those that the system assigns', async () => {
  const range = async () => {
    const [first = 0, last = 0] = (await unusedPortRange(8)).split('-').map(Number);
    return Array.from({length: last - first + 1}, (_, i) => first + i);
  };
  const asked = [unusedPort(), range(), unusedPort(), range(), unusedPort()];
  const ports = (await Promise.all(asked)).flat();
  expect(ports).toHaveLength(19);
  expect(new Set(ports).size).toBe(19);
  expect(Math.max(...ports)).toBeLessThan(32_768);
});

test('bytes in bulk contain their position: a moved or lost piece changes the hash', async () => {
  const digest = new Digest();
  await pipeline(source(1_000_000), digest);
  expect(digest.bytes).toBe(1_000_000);
  expect(digest.sha256()).toBe(sha256Of(1_000_000));
  expect(sha256Of(1_000_000, 1)).not.toBe(sha256Of(1_000_000));
  const [one, two] = [...pieces(600_000)];
  expect(one?.equals(two ?? Buffer.alloc(0))).toBe(false);
});

test('a child’s lines can be awaited, and its end has its output', async ({scope}) => {
  const child = Child.start(scope, 'sh', ['-c', 'echo one; echo two >&2; read x; echo "got $x"; exit 3'], {
    stdin: true,
  });
  expect(await child.line()).toBe('one');
  await child.saidOnStderr(/two/);
  child.stdin.write('three\n');
  expect(await child.line((line) => line.startsWith('got'))).toBe('got three');
  expect(await child.exited).toEqual({code: 3, signal: null});
  await expect(child.line((line) => line === 'never')).rejects.toThrow(/ended .*before a line/s);
});

test('a child that leaves a process behind fails its scope', async () => {
  const left = (async () => {
    await using scope = new Scope();
    const child = Child.start(scope, 'sh', ['-c', 'sleep 1000 >/dev/null 2>&1 & echo up; exit 0']);
    await child.exited;
  })();
  await expect(left).rejects.toThrow(/left processes running: \d+ sleep/);
});

test('two hosts reach each other by name, and do not after the wire is cut', async ({scope}) => {
  const wire = await twoHosts(scope, {'relay.test': 'one'});
  const listener = Child.start(scope, 'nc', ['-lkv', wire.one.address, '7000'], {
    namespace: wire.one.namespace,
  });
  await listener.saidOnStderr(/Listening/);
  /** Within so many seconds: the first packet on a new wire may be lost, and is sent again after one second. */
  const reach = (seconds = 10) =>
    run(scope, 'nc', ['-zw', String(seconds), 'relay.test', '7000'], {namespace: wire.two.namespace}).then(
      ({code}) => code,
    );
  expect(await reach()).toBe(0);
  await wire.cut();
  expect(await reach(1)).toBe(1);
  await wire.mend();
  expect(await reach()).toBe(0);
});

test('the browser opens a page', async ({scope}) => {
  const folder = await scope.tempDir('ca');
  const made = await run(scope, 'openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
    ...['-subj', '/CN=test', '-keyout', `${folder}/key.pem`, '-out', `${folder}/ca.pem`],
  ]);
  expect(made.code).toBe(0);
  const {port} = await httpUpstream(scope, '<!doctype html><title>page</title>');
  const browser = await startBrowser(scope, {caFile: `${folder}/ca.pem`});
  const page = await browser.newPage();
  await page.goto(`http://x.localhost:${port}/`);
  expect(await page.title()).toBe('page');
});

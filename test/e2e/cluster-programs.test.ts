// Real programs on the members of a cluster: gloo by torch, a page behind a public address, and the ways out of a member.

import {fileURLToPath} from 'node:url';
import {describe, expect} from 'vitest';
import {startBrowser} from '../helpers/browser.js';
import {eventsOf, runCluster, startCluster, USERS} from '../helpers/cluster.js';
import {FORBIDDEN, MACHINE_PORT, SITE, sealSurroundings} from '../helpers/seal.js';
import {test} from '../helpers/test.js';

const TRAIN = fileURLToPath(new URL('../helpers/train.py', import.meta.url));
/** Debian's packages belong to this one. */
const PYTHON = '/usr/bin/python3';
const [first = 'user'] = USERS;

const weightsIn = (text: string) =>
  [...text.matchAll(/weights (\w{16} of \d+)/g)].map(([, weights]) => weights);

describe('torch with gloo', () => {
  test('four members compute the same weights, although the first one is late', async ({scope}) => {
    const {code, stdout, stderr} = await runCluster(
      scope,
      'user',
      // With a way out: its rules and routes must not touch what members send to each other.
      ['run', '--size', '4', '--', PYTHON, TRAIN],
      {env: {LATE: '2'}},
    );
    expect(code, stderr).toBe(0);
    const weights = weightsIn(stdout + stderr);
    expect(weights).toHaveLength(4);
    expect(new Set(weights).size).toBe(1);
  });

  test('one that dies ends all with its code', async ({scope}) => {
    const {code, stderr} = await runCluster(
      scope,
      'user',
      ['run', '--size', '3', '--isolated', '--', PYTHON, TRAIN],
      {env: {DIES: '1', STEPS: '100000'}},
    );
    expect(code, stderr).toBe(9);
    expect(stderr).toMatch(/^cluster member 1 exited 9$/m);
  });
});

test.for([
  '::',
  // Nothing listens on IPv6.
  '0.0.0.0',
])('the page of a member on %s in a browser, by a public address', async (bind, {scope}) => {
  const script = `[ $RANK = 1 ] || exec sleep 600
    echo '<title>dashboard</title><p>of rank {rank}' > index.html; exec python3 -m http.server 8080 --bind ${bind}`;
  const cwd = await scope.tempDir('page');
  const stateDir = await scope.tempDir('state');
  const cluster = await startCluster(
    scope,
    first,
    ['run', '--size', '2', '--isolated', '--json', '--expose', '1:8080', '--', 'sh', '-c', script],
    {cwd, env: {TUNL_STATE_DIR: stateDir}},
  );
  await cluster.line((line) => line.includes('"cluster-exposed"'));
  const event = eventsOf(cluster.lines).find((each) => each.type === 'cluster-exposed');
  expect(event).toMatchObject({
    rank: 1,
    port: 8080,
    address: expect.stringMatching(/^https:\/\/localhost:\d+$/),
  });
  const browser = await startBrowser(scope, {caFile: `${stateDir}/ca/tunl-ca.pem`});
  const page = await browser.newPage();
  await page.goto(event?.address ?? '');
  expect(await page.title()).toBe('dashboard');
  expect(await page.textContent('p')).toContain('of rank 1');
});

describe.runIf(process.getuid?.() === 0)('ways out of a member', () => {
  test('public addresses by name and by number, nothing of this machine, and nothing when isolated', async ({
    scope,
  }) => {
    const around = await sealSurroundings(scope);
    const script = `
import socket
def reach(host, port):
    try: return socket.create_connection((host, port), 5).recv(100).decode().strip() or 'closed'
    except OSError as error: return type(error).__name__
print([reach('allowed.example', 80), reach('${SITE.v4}', 443), reach('${SITE.v6}', 22),
  reach('inside.example', 80), reach('169.254.169.254', 80), reach('${around.machine.address}', ${MACHINE_PORT})])
try:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('${FORBIDDEN.v4}', 99)); s.send(b'x')
except OSError: pass`;
    for (const user of USERS) {
      for (const more of [[], ['--isolated']]) {
        const {code, stdout, stderr} = await runCluster(
          scope,
          user,
          ['run', '--size', '1', ...more, '--', 'python3', '-c', script],
          {namespace: around.machine.namespace},
        );
        expect(code, stderr).toBe(0);
        const reached = (index: number) => stdout.includes(`reached ${[SITE.v4, SITE.v6][index]}`);
        expect([reached(0), reached(1)]).toEqual(more.length === 0 ? [true, true] : [false, false]);
        expect(stdout).not.toMatch(/the machine|reached (10|169)\./);
        expect(await around.forbiddenPackets()).toBe(0);
        expect(await around.machinePackets()).toBe(0);
      }
    }
  });
});

// A cluster over two machines with two processes each: the link between them is cut in the middle of the computation.

import {chmod, copyFile} from 'node:fs/promises';
import {join} from 'node:path';
import {setTimeout as wait} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import {expect} from 'vitest';
import {startCluster} from '../helpers/cluster.js';
import {twoHosts} from '../helpers/net-ns.js';
import {startRelayProcess} from '../helpers/relay.js';
import {test} from '../helpers/test.js';
import {long} from './rig.js';

const TRAIN = fileURLToPath(new URL('../helpers/train.py', import.meta.url));
const CUT_MS = long ? 10_000 : 3_000;

test('all members have the same weights after a cut link', async ({scope}) => {
  const domain = 'r1.test';
  const wire = await twoHosts(scope, {[domain]: 'one'});
  const relay = await startRelayProcess(scope, {
    domain,
    listen: '0.0.0.0:0',
    namespace: wire.one.namespace,
  });
  const folder = await scope.tempDir('ca');
  await chmod(folder, 0o755);
  const caFile = join(folder, 'ca.pem');
  await copyFile(relay.caFile, caFile);
  await chmod(caFile, 0o644);
  const env = {
    ...relay.env,
    TUNL_CA_FILE: caFile,
    STEPS: '20',
    REDUCE_SECONDS: String(CUT_MS / 1_000 + 4),
  };
  const words = ['--nproc_per_node', '2', '--nnodes', '{size}', '--node_rank', '{rank}'];
  const master = ['--master_addr', '{master}', '--master_port', '29500'];
  // Without -r and -t this version of torchrun fails with this version of Python.
  const torchrun = ['/usr/bin/torchrun', '-r', '1', '-t', '1', ...words, ...master, TRAIN];
  const members = await Promise.all(
    [wire.one, wire.two].map(({namespace}, rank) =>
      startCluster(
        scope,
        'user',
        ['join', 'train', '--size', '2', '--rank', String(rank), '--', ...torchrun],
        {namespace, env},
      ),
    ),
  );
  const [first, second] = members;
  await Promise.all([first?.line((line) => line.includes('training')), second?.saidOnStderr(/training/)]);
  await wire.cut();
  await wait(CUT_MS);
  await wire.mend();
  const ends = await Promise.all(members.map((each) => each.finished()));
  const said = ends.map(({stdout, stderr}) => stdout + stderr).join('\n');
  expect(
    ends.map(({code}) => code),
    said,
  ).toEqual([0, 0]);
  const weights = [...said.matchAll(/weights (\w{16}) of 4/g)].map(([, each]) => each);
  expect(weights).toHaveLength(4);
  expect(new Set(weights).size).toBe(1);
});

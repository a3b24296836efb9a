// A gibibyte each way at once: every byte arrives, and the memory of both processes stays the same.
import {pipeline} from 'node:stream/promises';
import {expect} from 'vitest';
import {GiB, MiB, sha256Of, source} from '../helpers/bytes.js';
import {Child} from '../helpers/child.js';
import {atMost} from '../helpers/metric.js';
import {startRelayProcess} from '../helpers/relay.js';
import {test} from '../helpers/test.js';
import {httpUpstream} from '../helpers/upstreams.js';

const peakLimit = 150 * MiB;

test.for(['TLS', 'TCP'] as const)('1 GiB down and 1 GiB up at once over %s', async (kind, {scope}) => {
  const relay = await startRelayProcess(scope);
  const upstream = await httpUpstream(scope);
  const {cli: agent, ready} = await relay.expose(upstream.port, {flags: kind === 'TCP' ? ['--tcp'] : []});
  const base = kind === 'TCP' ? `http://${ready.address}` : ready.url;
  const curl = `curl -sS --noproxy '*' --cacert '${relay.caFile}' --connect-to ::127.0.0.1: --fail`;
  const down = Child.start(scope, 'sh', ['-c', `${curl} '${base}/bytes?n=${GiB}&seed=1' | sha256sum`]);
  const up = Child.start(scope, 'sh', ['-c', `${curl} -H Expect: -T - '${base}/upload'`], {stdin: true});
  // When curl fails, its message says more than the broken pipe to it.
  await pipeline(source(GiB, 2), up.stdin).catch(() => {});
  const [downloaded, uploaded] = [await down.finished(), await up.finished()];
  expect(uploaded).toMatchObject({code: 0, stderr: ''});
  expect(JSON.parse(uploaded.stdout)).toEqual({bytes: GiB, sha256: sha256Of(GiB, 2)});
  expect(downloaded).toMatchObject({code: 0, stderr: ''});
  expect(downloaded.stdout.split(' ')[0]).toBe(sha256Of(GiB, 1));
  const name = `bulk over ${kind}`;
  expect.soft(atMost(name, 'relay peak RSS bytes', relay.cli.peakRssBytes(), peakLimit)).toBe(true);
  expect.soft(atMost(name, 'agent peak RSS bytes', agent.peakRssBytes(), peakLimit)).toBe(true);
});

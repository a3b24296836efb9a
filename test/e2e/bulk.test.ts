// A gibibyte each way at once: every byte arrives, and the memory of both processes stays the same.
import {pipeline} from 'node:stream/promises';
import {expect} from 'vitest';
import {gate, wayIn} from '../helpers/behind-gate.js';
import {GiB, MiB, sha256Of, source} from '../helpers/bytes.js';
import {Child} from '../helpers/child.js';
import {atMost} from '../helpers/metric.js';
import {startRelayProcess} from '../helpers/relay.js';
import {test} from '../helpers/test.js';
import {httpUpstream} from '../helpers/upstreams.js';

const peakLimit = 150 * MiB;

/** Behind a gate every byte goes through Node's HTTP as well. */
const SIZE = gate === undefined ? GiB : 128 * MiB;
const KINDS = gate === undefined ? (['TLS', 'TCP'] as const) : (['TLS'] as const);

test.for(KINDS)(`${SIZE / MiB} MiB down and as many up at once over %s`, async (kind, {scope}) => {
  const relay = await startRelayProcess(scope);
  const upstream = await httpUpstream(scope);
  const {cli: agent, ready} = await relay.expose(upstream.port, {flags: kind === 'TCP' ? ['--tcp'] : []});
  const base = kind === 'TCP' ? `http://${ready.address}` : ready.url;
  const way = Object.entries(await wayIn(scope, relay.caFile, ready.url)).map(
    (pair) => `-H '${pair.join(': ')}'`,
  );
  const curl = `curl ${way.join(' ')} -sS --noproxy '*' --cacert '${relay.caFile}' --connect-to ::127.0.0.1: --fail`;
  const down = Child.start(scope, 'sh', ['-c', `${curl} '${base}/bytes?n=${SIZE}&seed=1' | sha256sum`]);
  const up = Child.start(scope, 'sh', ['-c', `${curl} -H Expect: -T - '${base}/upload'`], {stdin: true});
  // When curl fails, its message says more than the broken pipe to it.
  await pipeline(source(SIZE, 2), up.stdin).catch(() => {});
  const [downloaded, uploaded] = [await down.finished(), await up.finished()];
  expect(uploaded).toMatchObject({code: 0, stderr: ''});
  expect(JSON.parse(uploaded.stdout)).toEqual({bytes: SIZE, sha256: sha256Of(SIZE, 2)});
  expect(downloaded).toMatchObject({code: 0, stderr: ''});
  expect(downloaded.stdout.split(' ')[0]).toBe(sha256Of(SIZE, 1));
  const name = `bulk over ${kind}`;
  expect.soft(atMost(name, 'relay peak RSS bytes', relay.cli.peakRssBytes(), peakLimit)).toBe(true);
  expect.soft(atMost(name, 'agent peak RSS bytes', agent.peakRssBytes(), peakLimit)).toBe(true);
});

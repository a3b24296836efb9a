// One agent floods the relay with small messages, beside the visitors of others: they hardly notice.
import {readFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {get} from 'node:https';
import {expect} from 'vitest';
import {Child, cleanEnv} from '../helpers/child.js';
import {projectRoot} from '../helpers/cli.js';
import {atMost} from '../helpers/metric.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {domain, type Rig, sized, sleep, startRig} from './rig.js';

const measureMs = sized(1_500, 8_000);
const rounds = sized(2, 5);
const visitors = 4;

/** One request over a new connection. */
function visit(at: {host: string; port: number; ca: Buffer}): Promise<void> {
  const {host, port, ca} = at;
  return new Promise((resolve, reject) => {
    get({host: '127.0.0.1', port, servername: host, ca, agent: false, headers: {host}}, (response) => {
      response.resume();
      response.on('end', resolve);
      response.on('error', reject);
    }).on('error', reject);
  });
}

/** The times of all visits in a while, ms, sorted: several visitors, each with one visit after the other. */
async function measure(at: {host: string; port: number; ca: Buffer}): Promise<number[]> {
  const until = performance.now() + measureMs;
  const times: number[] = [];
  const loop = async () => {
    while (performance.now() < until) {
      const since = performance.now();
      await visit(at);
      times.push(performance.now() - since);
    }
  };
  await Promise.all(Array.from({length: visitors}, loop));
  return times.sort((a, b) => a - b);
}

async function startFlood(scope: Scope, rig: Rig, kind: string): Promise<Child> {
  const env = {
    ...cleanEnv(),
    FLOOD_PORT: String(rig.relay.port),
    FLOOD_DOMAIN: domain,
    FLOOD_CA: rig.caFile,
    FLOOD_TOKEN: rig.relay.token,
  };
  const flooder = Child.start(scope, process.execPath, [`${projectRoot}test/helpers/flooder.js`, kind], {
    env,
  });
  await flooder.saidOnStderr(/flooding/);
  return flooder;
}

const at = (times: readonly number[], share: number): number =>
  times[Math.floor(times.length * share)] ?? Number.POSITIVE_INFINITY;

const middle = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

test.for(['pings', 'acks', 'opens', 'binds', 'drops'])('a flood of %s', async (kind, {scope}) => {
  const rig = await startRig(scope);
  const upstream = await scope.listen(createServer((_, response) => response.end('x'.repeat(1_000))));
  const {ready} = await rig.expose(upstream);
  const site = {host: ready.tls?.host ?? '', port: ready.tls?.port ?? 0, ca: await readFile(rig.caFile)};
  await measure(site);
  const ratios: {p50: number; p99: number}[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const alone = await measure(site);
    const flooder = await startFlood(scope, rig, kind);
    await sleep(200);
    const beside = await measure(site);
    flooder.signal('SIGKILL');
    await flooder.exited;
    ratios.push({p50: at(beside, 0.5) / at(alone, 0.5), p99: at(beside, 0.99) / at(alone, 0.99)});
    await sleep(200);
  }
  const p50 = middle(ratios.map((each) => each.p50));
  atMost(`flood of ${kind}`, 'p99 by the p99 alone', middle(ratios.map((each) => each.p99)), 2);
  expect(atMost(`flood of ${kind}`, 'p50 by the p50 alone', p50, 3)).toBe(true);
});

// `npm run bench:link`: tunl over a link between two places, beside plain TCP over the same link in the same run.
//
// Two TUN devices and a process that delays each packet join two network namespaces. Visitors and the relay are in one,
// the agent and nginx in the other. It needs root, and changes nothing outside of its own namespaces.

import {existsSync} from 'node:fs';
import {loadavg} from 'node:os';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {type Host, twoHosts} from '../test/helpers/net-ns.js';
import {Scope} from '../test/helpers/scope.js';
import {curlWords, type Transfer, transfer, urlOf} from './loads/curl.js';
import {wrk} from './loads/wrk.js';
import {endAtSignals} from './machine/interruption.js';
import {start, within} from './machine/programs.js';
import {Tools} from './machine/tools.js';
import {type Route, startTimeoutMs} from './peers/peer.js';
import {program, startTunlRelay, type TunlRelay} from './peers/tunl-relay.js';
import {positive, report} from './report-line.js';
import {median} from './results.js';
import {startUpstream} from './upstream.js';

const usage = `npm run bench:link -- [--rtt 100] [--mbit 1000] [--size 512] [--rounds 3]

  --rtt     round trip of the link, ms (100)
  --mbit    its rate, Mbit/s (1000)
  --size    MiB of a transfer (512)
  --rounds  how often each is measured, in turns (3)
`;

const RELAY_NAME = 'r1.example.test';

/** Jumbo frames: fewer packets for the process that carries them. */
const MTU = 9000;

/** The kernel's own limit, 4 to 6 MiB for a connection, is too low for the rate of the link. */
const TCP_BUFFER_BYTES = 64 * 2 ** 20;

const goals = {
  /** Share of plain TCP over the same link. */
  bulk: {atLeast: 0.85},
  /** Median latency of small requests beside a download ÷ that without it. */
  beside: {atMost: 2},
};

interface Link {
  rttMs: number;
  mbit: number;
}

/** Resolves with the host of the visitors and that of the agent. */
async function farHosts(scope: Scope, {rttMs, mbit}: Link): Promise<{near: Host; far: Host}> {
  const words = [rttMs / 2, mbit].map(String);
  const script = fileURLToPath(new URL('machine/delay-link.py', import.meta.url));
  const wire = await twoHosts(scope, {[RELAY_NAME]: 'one'}, async (one, two) => {
    const link = start(scope, 'python3', [script, one, two, ...words], {name: 'the link'});
    await within(startTimeoutMs, 'link', link.line());
  });
  for (const host of [wire.one, wire.two]) {
    for (const direction of ['rmem', 'wmem']) {
      await host.run('sysctl', '-q', '-w', `net.ipv4.tcp_${direction}=4096 131072 ${TCP_BUFFER_BYTES}`);
    }
    const device = /^\d+: (v[0-9a-f]+[ab]):/m.exec(await host.run('ip', 'link', 'show'))?.[1] ?? '';
    await host.run('ip', 'link', 'set', device, 'mtu', String(MTU), 'txqueuelen', '5000');
  }
  return {near: wire.one, far: wire.two};
}

interface Place {
  scope: Scope;
  tools: Tools;
  /** Where the visitors are. */
  namespace: string;
  bytes: number;
}

/** @param times the number of downloads in a row, on one connection. */
function download({scope, tools, namespace, bytes}: Place, route: Route, times = 1): Promise<Transfer> {
  const urls = Array.from({length: times}, () => ['--output', '/dev/null', urlOf(route, '/bulk')]).flat();
  const words = [...curlWords(route), '--range', `0-${bytes - 1}`, ...urls];
  return transfer(scope, tools, words, {timeoutMs: 300_000, signal: scope.signal, namespace});
}

/** MB/s of one stream. */
async function rate(place: Place, route: Route): Promise<number> {
  const {bytes, seconds} = await download(place, route);
  return bytes / seconds / 1e6;
}

/** The median of small requests one after the other, ms. */
async function latency({scope, tools, namespace}: Place, route: Route): Promise<number> {
  const options = {connections: 1, seconds: 5, namespace, signal: scope.signal};
  return (await wrk(scope, tools, route, options)).p50Ms;
}

/** The same while a download goes through the tunnel; the download is stopped at the end. */
async function latencyBeside(place: Place, route: Route): Promise<number> {
  await using beside = new Scope();
  const bulk = download({...place, scope: beside}, route, 1000);
  bulk.catch(() => {});
  return await latency(place, route);
}

async function exposed(scope: Scope, relay: TunlRelay, far: Host, upstreamPort: number): Promise<Route> {
  const words = ['expose', `${far.address}:${upstreamPort}`, '--tcp', '--quiet'];
  const agent = start(scope, process.execPath, [program, ...words], {
    name: 'tunl expose',
    namespace: far.namespace,
    env: {...relay.env, TUNL_STATE_DIR: await scope.tempDir('bench-agent')},
  });
  const {hostname, port} = new URL(
    `tcp://${await within(startTimeoutMs, 'address from tunl', agent.line())}`,
  );
  return {scheme: 'tcp', host: hostname, port: Number(port)};
}

async function main(): Promise<void> {
  const {values} = parseArgs({
    options: {
      help: {type: 'boolean', short: 'h', default: false},
      rtt: {type: 'string', default: '100'},
      mbit: {type: 'string', default: '1000'},
      size: {type: 'string', default: '512'},
      rounds: {type: 'string', default: '3'},
    },
  });
  if (values.help) return void process.stdout.write(usage);
  const [rttMs, mbit] = [positive('rtt', values.rtt), positive('mbit', values.mbit)];
  const [bytes, rounds] = [positive('size', values.size) * 2 ** 20, positive('rounds', values.rounds)];
  if (process.getuid?.() !== 0 || !existsSync('/dev/net/tun')) {
    throw new Error(
      'network namespaces and TUN devices are needed: run it as root, on Linux with /dev/net/tun',
    );
  }
  process.stdout.write(`load average before: ${loadavg()[0]?.toFixed(1)}\n`);
  await using scope = new Scope();
  endAtSignals(scope);
  const tools = new Tools();
  const {near, far} = await farHosts(scope, {rttMs, mbit});
  const upstream = await startUpstream(scope, tools, bytes, {place: far});
  const relay = await startTunlRelay(scope, {
    at: {namespace: near.namespace, domain: RELAY_NAME, listen: '0.0.0.0:0'},
  });
  const tunnel = await exposed(scope, relay, far, upstream.port);
  const direct: Route = {scheme: 'tcp', host: far.address, address: far.address, port: upstream.port};
  const place: Place = {scope, tools, namespace: near.namespace, bytes};

  const facts = {'rtt ms': rttMs, 'Mbit/s': mbit};
  const bulk = {direct: [] as number[], tunl: [] as number[]};
  const small = {alone: [] as number[], beside: [] as number[]};
  for (let round = 0; round < rounds; round++) {
    bulk.direct.push(await rate(place, direct));
    bulk.tunl.push(await rate(place, tunnel));
    small.alone.push(await latency(place, tunnel));
    small.beside.push(await latencyBeside(place, tunnel));
  }
  const medians = (of: Record<string, number[]>) =>
    Object.fromEntries(Object.entries(of).map(([key, list]) => [key, median(list) ?? 0]));
  const ratio = (over: number[], under: number[]) =>
    median(over.map((value, i) => value / (under[i] ?? Number.NaN))) ?? Number.NaN;
  report('bulk over a link, MB/s by plain TCP', ratio(bulk.tunl, bulk.direct), goals.bulk, {
    ...facts,
    ...medians(bulk),
  });
  report('p50 ms beside a download by p50 alone', ratio(small.beside, small.alone), goals.beside, {
    ...facts,
    ...medians(small),
  });
}

await main();

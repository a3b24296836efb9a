// `npm run bench:growth`: the cost of a relay's work when it has much else to keep: thousands of idle tunnels, or a
// thousand open streams beside the measured one. tunl alone, compared with itself in the same processes.

import {once} from 'node:events';
import {loadavg} from 'node:os';
import {setTimeout as sleep} from 'node:timers/promises';
import {parseArgs} from 'node:util';
import {Scope} from '../test/helpers/scope.js';
import {startPark} from '../test/helpers/start-park.js';
import {tcpVisitor} from '../test/helpers/visitors.js';
import {type WrkResult, wrk} from './loads/wrk.js';
import {endAtSignals} from './machine/interruption.js';
import {memoryMbOf} from './machine/proc.js';
import {start, within} from './machine/programs.js';
import {Tools} from './machine/tools.js';
import {type Route, startTimeoutMs} from './peers/peer.js';
import {program, startTunlRelay, type TunlRelay} from './peers/tunl-relay.js';
import {positive, report} from './report-line.js';
import {median} from './results.js';
import {pieceBytes, startUpstream} from './upstream.js';

const usage = `npm run bench:growth -- [--tunnels 5000] [--streams 1000] [--rounds 5]

  --tunnels  idle tunnels beside the measured one, each with an agent of its own (5000)
  --streams  open streams without traffic beside the measured one, in the same tunnel (1000)
  --rounds   how often each is measured; medians count (5)
`;

/** Tunnels that start in parallel; one after the other they would take some minutes. */
const PORTS_AT_ONCE = 10;

const goals = {
  /** Requests/s among all tunnels ÷ requests/s with one. */
  busy: {atLeast: 0.9},
  /** Median latency among all streams ÷ that with one. "Flat", with room for differences between runs. */
  p50: {atMost: 1.1},
  /** KiB of the relay for each idle agent. */
  idleAgent: {atMost: 70},
};

class Growth {
  readonly #tools: Tools;
  readonly #route: Route;
  readonly #rounds: number;

  constructor(tools: Tools, route: Route, rounds: number) {
    this.#tools = tools;
    this.#route = route;
    this.#rounds = rounds;
  }

  /** The median over all rounds of the figure that `pick` returns. */
  async measure(scope: Scope, connections: number, pick: (result: WrkResult) => number): Promise<number> {
    const values: number[] = [];
    for (let round = 0; round < this.#rounds; round++) {
      const result = await wrk(scope, this.#tools, this.#route, {
        connections,
        seconds: 2,
        signal: scope.signal,
      });
      if (result.errors > 0) throw new Error(`${result.errors} requests failed`);
      values.push(pick(result));
    }
    return median(values) ?? 0;
  }

  async tunnels(scope: Scope, {relay, env}: TunlRelay, count: number): Promise<void> {
    const busy = (own: Scope) => this.measure(own, 50, ({perSecond}) => perSecond);
    const alone = await busy(scope);
    const memory = memoryMbOf(relay.pid, 'VmRSS');
    let among = 0;
    let grown = 0;
    {
      await using parked = new Scope();
      process.stderr.write(`${count} tunnels come up\n`);
      const ports = Array.from({length: PORTS_AT_ONCE}, (_, i) => 10_000 + i);
      await startPark(parked, {agents: Math.ceil(count / PORTS_AT_ONCE), ports, env});
      // By then the memory of their start is collected, and their first pings have been sent.
      await sleep(10_000);
      grown = memoryMbOf(relay.pid, 'VmRSS') - memory;
      among = await busy(parked);
    }
    const again = await busy(scope);
    // The machine drifts, so this takes the mean of before and after.
    const one = (alone + again) / 2;
    report('requests/s among idle tunnels', among / one, goals.busy, {tunnels: count, alone, again, among});
    report('relay, KiB an idle agent', (grown * 1e6) / 1024 / count, goals.idleAgent, {tunnels: count});
  }

  async streams(scope: Scope, count: number): Promise<void> {
    const latency = (own: Scope) => this.measure(own, 1, ({p50Ms}) => p50Ms);
    const alone = await latency(scope);
    let among = 0;
    {
      await using held = new Scope();
      process.stderr.write(`${count} streams are opened\n`);
      for (let i = 0; i < count; i++) {
        const visitor = await tcpVisitor(held, this.#route.port);
        visitor.write('GET /small HTTP/1.1\r\nHost: bench\r\n\r\n');
        await once(visitor, 'data');
      }
      among = await latency(held);
    }
    const again = await latency(scope);
    const one = (alone + again) / 2;
    report('p50 ms among open streams', among / one, goals.p50, {streams: count, alone, again, among});
  }
}

async function main(): Promise<void> {
  const {values} = parseArgs({
    options: {
      help: {type: 'boolean', short: 'h', default: false},
      tunnels: {type: 'string', default: '5000'},
      streams: {type: 'string', default: '1000'},
      rounds: {type: 'string', default: '5'},
    },
  });
  if (values.help) return void process.stdout.write(usage);
  const [tunnels, streams, rounds] = [
    positive('tunnels', values.tunnels),
    positive('streams', values.streams),
    positive('rounds', values.rounds),
  ];
  await using scope = new Scope();
  endAtSignals(scope);
  process.stdout.write(`load average before: ${loadavg()[0]?.toFixed(1)}\n`);
  const tools = new Tools();
  const upstream = await startUpstream(scope, tools, pieceBytes);
  const relay = await startTunlRelay(scope);
  const agent = start(
    scope,
    process.execPath,
    [program, 'expose', String(upstream.port), '--tcp', '--quiet'],
    {
      env: {...relay.env, TUNL_STATE_DIR: await scope.tempDir('bench-agent')},
      name: 'tunl expose',
    },
  );
  const address = await within(startTimeoutMs, 'address from tunl', agent.line());
  const {hostname: host, port} = new URL(`tcp://${address}`);
  const growth = new Growth(tools, {scheme: 'tcp', host, port: Number(port)}, rounds);
  // Both processes have compiled what they run often by the end of it.
  await growth.measure(scope, 50, ({perSecond}) => perSecond);
  await growth.streams(scope, streams);
  await growth.tunnels(scope, relay, tunnels);
}

await main();
